"""Codes: nibble order, packing axis, word width, signs; and the group of each input channel."""

from __future__ import annotations

import numpy as np

from ..bits.array import Array
from ..bits.fields import fields
from ..formats.awq_gemm.packing import interleaved, natural
from ..formats.parts import Integer
from ..formats.registry import known
from .model import Ask, Bug, Config, Mutant, Tensors, github
from .rewrites import nibbles_reversed, no_awq_interleave
from .wrap import afterwards, misread, spoilt, tolerant, without

GPTQ, AWQ = ("gptq",), ("awq",)


def _as_awq(ask: Ask, config: Config, tensors: Tensors, dtype: str | None) -> Array:
    ask(config, tensors, dtype)
    awq = without(config, "sym", "desc_act", "checkpoint_format", "format", "meta") | {"quant_method": "awq"}
    return ask(awq, {name: array for name, array in tensors.items() if name != "g_idx"}, dtype)


def _in_awq_order(found: Integer, config: Config, tensors: Tensors) -> Integer:
    n = found.q.shape[1]
    padded = np.pad(found.q, ((0, 0), (0, -n % 8)))
    return found.with_(q=natural(padded)[:, :n], z=natural((found.z - 1) % 16))


def _sign_extended(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """The topmost field of a negative word comes out of an arithmetic shift."""
    q = found.q.copy()
    top = 7 if known(config).SLUG == "gptq" else natural(np.arange(8)[None])[0].tolist().index(7)
    if known(config).SLUG == "gptq":
        q[:, top::8] = np.where(q[:, top::8] > 7, q[:, top::8] - 16, q[:, top::8])
    else:
        q[top::8] = np.where(q[top::8] > 7, q[top::8] - 16, q[top::8])
    return found.with_(q=q)


def _three_words_of_four(found: Integer, config: Config, tensors: Tensors) -> Integer:
    q = found.q.copy()
    q[:, np.arange(q.shape[1]) // 8 % 4 == 3] = 0
    return found.with_(q=q)


def _last_word_forgotten(found: Integer, config: Config, tensors: Tensors) -> Integer:
    q = found.q.copy()
    q[:, q.shape[1] // 8 * 8 :] = 0
    return found.with_(q=q)


def _carry_between_lanes(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """8 is added to all eight codes of a word in one addition, and taken off each."""
    moved = (tensors["qweight"].bits.view(np.uint32) + np.uint32(0x88888888)).view(np.int32)
    if known(config).SLUG == "gptq":
        q = fields(moved, axis=0).T[:, : found.q.shape[1]]
    else:
        q = natural(fields(moved, axis=1)).T
    return found.with_(q=(q.astype(np.int64) - 8) % 16)


def _through_float(config: Config, tensors: Tensors) -> tuple[Config, Tensors]:
    rounded = tensors["qweight"].bits.astype(np.float32).astype(np.int64)
    return config, {**tensors, "qweight": Array.of(np.clip(rounded, -(2**31), 2**31 - 1).astype(np.int32))}


def _transposed_if_square(found: Array) -> Array:
    square = found.shape[0] == found.shape[1]
    return Array(found.dtype, np.ascontiguousarray(found.bits.T)) if square else found


def _second_half_from_the_first(found: Array) -> Array:
    half = found.shape[0] // 2
    bits = found.bits.copy()
    bits[half : 2 * half] = bits[:half]
    return Array(found.dtype, bits)


def _wrong_way(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """Stored nibbles permuted by the packing order where its inverse is due."""

    def again(values: np.ndarray) -> np.ndarray:
        return interleaved(interleaved(values))

    return found.with_(q=again(np.ascontiguousarray(found.q.T)).T, z=again(found.z))


PACKING = (
    Mutant(
        "PK-01",
        Bug.PACK_AXIS,
        "GPTQ goes through the AWQ decoder, which packs along the other axis: shapes that do not fit",
        github("ml-explore/mlx-lm#730"),
        ("vectors", "layouts", "synthetic", "modules", "generation"),
        GPTQ,
        decode=_as_awq,
        loud=True,
    ),
    Mutant(
        "PK-01b",
        Bug.INTERLEAVE,
        "the same with the shapes made to fit: GPTQ's codes and zero points in AWQ's nibble order, and no offset",
        github("ml-explore/mlx-lm#730", "unslothai/unsloth-zoo#848"),
        ("vectors", "layouts", "synthetic", "modules", "digests", "generation"),
        GPTQ,
        decode=spoilt(_in_awq_order),
    ),
    Mutant(
        "PK-04",
        Bug.NIBBLE_ORDER,
        "codes are read from the top of the word",
        github("ggml-org/llama.cpp#17083"),
        ("vectors", "layouts", "synthetic", "modules", "digests", "generation"),
        decode=misread(lambda c, t: (c, nibbles_reversed(dict(t)))),
    ),
    Mutant(
        "PK-05",
        Bug.SHAPE_PADDING,
        "the unpacking loop stops after three words; at 3 bits of a run, here of every four along the inputs",
        github("ModelCloud/GPTQModel#1278", "ModelCloud/GPTQModel#1280"),
        ("vectors", "layouts", "synthetic", "modules", "generation"),
        decode=spoilt(_three_words_of_four),
    ),
    Mutant(
        "PK-07",
        Bug.SHAPE_PADDING,
        "the number of words is rounded down, so the inputs in a last word that is not full are lost",
        github("ModelCloud/GPTQModel#2984", "ModelCloud/GPTQModel#2985"),
        ("layouts",),
        GPTQ,
        decode=spoilt(_last_word_forgotten),
    ),
    Mutant(
        "PK-11",
        Bug.CONFIG_FALLBACK,
        "the width is never read, and everything is unpacked as 4 bits",
        github("turboderp-org/exllamav2#563", "ModelCloud/GPTQModel#193"),
        ("refusals",),
        decode=tolerant(lambda c, t: (without(c, "w_bit") | {"bits": 4}, t)),
    ),
    Mutant(
        "PK-14",
        Bug.SIGNEDNESS,
        "codes are read as two's complement: 8 to 15 become -8 to -1",
        github("tile-ai/tilelang#2482", "onnxruntime/onnxruntime-qnn#728"),
        ("vectors", "arithmetic", "layouts", "synthetic", "modules"),
        decode=spoilt(lambda p, c, t: p.with_(q=np.where(p.q > 7, p.q - 16, p.q))),
    ),
    Mutant(
        "PK-14b",
        Bug.SIGNEDNESS,
        "int32 words are shifted arithmetically and the topmost field is not masked: a negative word, a negative code",
        github("tile-ai/tilelang#2477"),
        ("vectors", "arithmetic", "layouts", "synthetic", "modules"),
        decode=spoilt(_sign_extended),
    ),
    Mutant(
        "PK-15",
        Bug.CROSS_WORD,
        "lanes of a word are shifted in one 32-bit addition and carry into their neighbours",
        github("gittensor-ai-lab/sparkinfer#761"),
        ("vectors", "arithmetic", "layouts", "synthetic", "modules"),
        decode=spoilt(_carry_between_lanes),
    ),
    Mutant(
        "PK-16",
        Bug.OP_ORDER_DTYPE,
        "packed words go through the loop that casts parameters to a float dtype, and lose their low bits",
        github("EfficientMoE/MoE-Infinity#82"),
        ("vectors", "layouts", "synthetic", "modules"),
        decode=misread(_through_float),
    ),
    Mutant(
        "PK-18",
        Bug.PACK_AXIS,
        "one of the layer classes forgets to transpose, which only shapes that are not square betray",
        github("AutoGPTQ/AutoGPTQ#139", "AutoGPTQ/AutoGPTQ#140"),
        ("vectors", "layouts", "synthetic", "modules"),
        decode=afterwards(_transposed_if_square),
    ),
    Mutant(
        "CF-05",
        Bug.INTERLEAVE,
        "words of one AWQ packing are read as those of another: columns stay in stored order",
        github("huggingface/transformers#42776", "vllm-project/vllm#2874"),
        ("vectors", "layouts", "synthetic", "modules", "generation"),
        AWQ,
        decode=misread(lambda c, t: (c, no_awq_interleave(dict(t)))),
    ),
    Mutant(
        "CF-05b",
        Bug.INTERLEAVE,
        "the interleave is applied where its inverse is due",
        github("vllm-project/vllm#2874"),
        ("vectors", "layouts", "synthetic", "modules", "generation"),
        AWQ,
        decode=spoilt(_wrong_way),
    ),
    Mutant(
        "MD-18",
        Bug.PACK_AXIS,
        "every part of a sharded matrix is filled from the first shard; the shapes are fine",
        github("vllm-project/vllm-gguf-plugin#103"),
        ("vectors", "layouts", "synthetic", "modules"),
        decode=afterwards(_second_half_from_the_first),
    ),
)


def _groups_of(found: Integer, size: int) -> Integer:
    return found.with_(g=np.minimum(np.arange(found.q.shape[1]) // size, len(found.s) - 1))


def _always_32(found: Integer, config: Config, tensors: Tensors) -> Integer:
    return found if "g_idx" in tensors else _groups_of(found, 32)


def _other_spelling_unread(found: Integer, config: Config, tensors: Tensors) -> Integer:
    return _groups_of(found, 128) if "q_group_size" in config else found


def _or_128(ask: Ask, config: Config, tensors: Tensors, dtype: str | None) -> Array:
    """``int(group_size or 128)``, where 0 and -1 count as nothing: the scales then have too few rows for the matrix."""
    stated = config.get("group_size", config.get("q_group_size"))
    return ask(without(config, "q_group_size") | {"group_size": 128} if stated in (0, -1) else config, tensors, dtype)


def _lookup_fails(ask: Ask, config: Config, tensors: Tensors, dtype: str | None) -> Array:
    answer = ask(config, tensors, dtype)
    tensors["g_idx"]
    return answer


def _no_act_order_here(ask: Ask, config: Config, tensors: Tensors, dtype: str | None) -> Array:
    answer = ask(config, tensors, dtype)
    if "g_idx" in tensors:
        raise ValueError("act-order is not supported")
    return answer


def _whole_matrix_refused(ask: Ask, config: Config, tensors: Tensors, dtype: str | None) -> Array:
    answer = ask(config, tensors, dtype)
    assert config.get("group_size", config.get("q_group_size")) != -1, "group size"
    return answer


def _columns_left_sorted(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """The fast path sorts the channels by group and never undoes it; it is taken for wide matrices only."""
    if found.q.shape[0] % 64 or "g_idx" not in tensors:
        return found
    order = np.argsort(found.g, kind="stable")
    return found.with_(q=found.q[:, order], g=found.g[order])


def _second_shard_in_order(found: Integer, config: Config, tensors: Tensors) -> Integer:
    if "g_idx" not in tensors:
        return found
    n = found.q.shape[1]
    position = np.minimum(np.arange(n) // known(config).group_size(config, n), len(found.s) - 1)
    return found.with_(g=np.where(np.arange(n) >= n // 2, position, found.g))


def _short_group_joined(found: Integer, config: Config, tensors: Tensors) -> Integer:
    whole = max(1, found.q.shape[1] // known(config).group_size(config, found.q.shape[1]))
    return found.with_(g=np.minimum(found.g, whole - 1))


def _negative_rows(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """``arange // -1`` counts backwards; in one row, a flat read goes to the neighbours of the wanted scale."""
    if config.get("group_size", config.get("q_group_size")) != -1:
        return found
    n, out = found.q.shape[1], found.s.shape[1]
    columns = (np.arange(out)[None, :] - np.arange(n)[:, None]) % out
    return found.with_(s=found.s[0][columns], z=found.z[0][columns], g=np.arange(n))


def _clamped(config: Config, tensors: Tensors) -> tuple[Config, Tensors]:
    g_idx = np.clip(tensors["g_idx"].bits, 0, tensors["scales"].shape[0] - 1)
    return config, {**tensors, "g_idx": Array("int32", g_idx)}


def _from_the_end(config: Config, tensors: Tensors) -> tuple[Config, Tensors]:
    groups, g_idx = tensors["scales"].shape[0], tensors["g_idx"].bits
    return config, {**tensors, "g_idx": Array("int32", np.where(g_idx < 0, g_idx + groups, g_idx).astype(np.int32))}


GROUPS = (
    Mutant(
        "GI-01",
        Bug.GROUP_INDEX,
        "g_idx is ignored and the group taken from the position",
        github("AutoGPTQ/AutoGPTQ#201", "AutoGPTQ/AutoGPTQ#202"),
        ("vectors", "layouts", "synthetic", "modules", "digests", "generation"),
        GPTQ,
        decode=spoilt(lambda p, c, t: _groups_of(p, known(c).group_size(c, p.q.shape[1]))),
    ),
    Mutant(
        "GI-03",
        Bug.GROUP_INDEX,
        "of a matrix sharded along its inputs, the second shard takes its groups from the position",
        github("vllm-project/vllm#7374", "vllm-project/vllm#6258"),
        ("vectors", "layouts", "synthetic", "modules"),
        GPTQ,
        decode=spoilt(_second_shard_in_order),
    ),
    Mutant(
        "GI-06",
        Bug.GROUP_INDEX,
        "a fast path sorts the channels by group and hands the matrix out sorted",
        github("vllm-project/vllm#32437"),
        ("vectors", "synthetic", "modules"),
        GPTQ,
        decode=spoilt(_columns_left_sorted),
    ),
    Mutant(
        "GI-07",
        Bug.MISSING_TENSOR,
        "g_idx is looked up without asking: a file without it ends in a KeyError",
        github("AutoGPTQ/AutoGPTQ#771", "intel/auto-round#267"),
        ("policies", "layouts", "synthetic"),
        GPTQ,
        decode=_lookup_fails,
        loud=True,
    ),
    Mutant(
        "GI-09",
        Bug.GROUP_INDEX,
        "any g_idx is taken for act-order and turned away, though AutoGPTQ writes one into every file",
        github("ml-explore/mlx-lm#730", "turboderp/exllama#44"),
        ("vectors", "layouts", "synthetic", "modules", "generation"),
        GPTQ,
        decode=_no_act_order_here,
        loud=True,
    ),
    Mutant(
        "GI-11",
        Bug.GROUP_INDEX,
        "g_idx is not checked: a group beyond the last one reads whatever is there, here the nearest",
        github("ModelCloud/GPTQModel#2949", "ModelCloud/GPTQModel#2950"),
        ("refusals",),
        GPTQ,
        decode=tolerant(lambda c, t: _clamped(c, t) if "g_idx" in t else (c, t)),
    ),
    Mutant(
        "GI-11b",
        Bug.GROUP_INDEX,
        "a negative group counts from the end, as indexing does",
        github("ModelCloud/GPTQModel#2949"),
        ("refusals",),
        GPTQ,
        decode=tolerant(lambda c, t: _from_the_end(c, t) if "g_idx" in t else (c, t)),
    ),
    Mutant(
        "GI-12",
        Bug.GROUP_TAIL,
        "group size -1 meets an assertion",
        github("huggingface/text-generation-inference#1302", "vllm-project/vllm#18885"),
        ("vectors", "layouts", "synthetic"),
        decode=_whole_matrix_refused,
        loud=True,
    ),
    Mutant(
        "GI-13",
        Bug.GROUP_TAIL,
        "with group size -1 channels are divided by -1 and gather from negative places",
        github("unslothai/unsloth-zoo#848"),
        ("vectors", "layouts", "synthetic"),
        AWQ,
        decode=spoilt(_negative_rows),
    ),
    Mutant(
        "GI-14",
        Bug.CONFIG_FALLBACK,
        "q_group_size is not read, and 128 is assumed",
        github("unslothai/unsloth-zoo#848"),
        ("synthetic",),
        AWQ,
        decode=spoilt(_other_spelling_unread),
    ),
    Mutant(
        "GI-14b",
        Bug.CONFIG_FALLBACK,
        "a group size of 0 or -1 counts as missing and becomes 128",
        github("unslothai/unsloth-zoo#848"),
        ("vectors", "layouts", "synthetic"),
        decode=_or_128,
        loud=True,
    ),
    Mutant(
        "GI-15",
        Bug.CONFIG_FALLBACK,
        "of two spellings that disagree the first is taken",
        github("unslothai/unsloth-zoo#848"),
        ("refusals",),
        decode=tolerant(lambda c, t: (without(c, "q_group_size") if "group_size" in c else c, t)),
    ),
    Mutant(
        "GI-16",
        Bug.GROUP_TAIL,
        "groups are counted by rounding down: the channels of a short last group join the one before",
        github("vllm-project/compressed-tensors#308", "ModelCloud/GPTQModel#328"),
        ("vectors", "layouts"),
        GPTQ,
        decode=spoilt(_short_group_joined),
    ),
    Mutant(
        "CF-02",
        Bug.CONFIG_FALLBACK,
        "the group size is fixed at 32, whatever the config says",
        github("ml-explore/mlx-lm#989"),
        ("vectors", "synthetic", "modules"),
        decode=spoilt(_always_32),
    ),
)
