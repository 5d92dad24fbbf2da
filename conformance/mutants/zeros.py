"""Zero points: offsets, fields of all ones, symmetric files, labels."""

from __future__ import annotations

import numpy as np

from ..bits.array import Array
from ..bits.fields import fields, words
from ..formats.gptq.packing import subtracted, version
from ..formats.parts import Integer
from .model import Ask, Bug, Config, Mutant, Tensors, github
from .wrap import misread, spoilt, without

GPTQ, AWQ = ("gptq",), ("awq",)
FAMILY = (2, 3, 4, 8)
_GPTQMODEL_PACKED_ARITHMETIC = ("https://github.com/ModelCloud/GPTQModel/blob/main/gptqmodel/utils/model.py",)


def _borrows(config: Config) -> bool:
    return subtracted(config, 1) is not None


def _as_version_1(config: Config, tensors: Tensors) -> tuple[Config, Tensors]:
    return (without(config, "checkpoint_format", "format"), tensors) if version(config) == 2 else (config, tensors)


def _stored(tensors: Tensors) -> np.ndarray:
    return fields(tensors["qzeros"].bits, axis=1).astype(np.int64)


def _no_mask(found: Integer, config: Config, tensors: Tensors) -> Integer:
    stored_ones = (found.z == 0) & ("qzeros" in tensors) & (not _borrows(config))
    return found.with_(z=np.where(stored_ones, 16, found.z))


def _no_mask_for_act_order(found: Integer, config: Config, tensors: Tensors) -> Integer:
    chosen = config.get("desc_act") and config.get("group_size") != -1
    return _no_mask(found, config, tensors) if chosen else found


def _smeared(config: Config, tensors: Tensors) -> tuple[Config, Tensors]:
    if "qzeros" not in tensors or _borrows(config):
        return config, tensors
    stored = _stored(tensors)
    eights = stored.reshape(len(stored), -1, 8)
    seen = np.logical_or.accumulate(eights == 15, axis=2)
    smeared = np.where(seen, 15, eights).reshape(stored.shape)
    return config, {**tensors, "qzeros": Array.of(words(smeared))}


def _carried(found: Integer, config: Config, tensors: Tensors) -> Integer:
    if "qzeros" not in tensors or config.get("sym"):
        return found
    whole = tensors["qzeros"].bits.view(np.uint32) + np.uint32(0x11111111)
    return found.with_(z=fields(whole.view(np.int32), axis=1).astype(np.int64))


def _spilt(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """A field of 16 written back with OR: its top bit is the lowest bit of the next field."""
    overflown = (found.z == 0).reshape(len(found.z), -1, 8)
    spilt = np.zeros_like(overflown)
    spilt[:, :, 1:] = overflown[:, :, :-1]
    return found.with_(z=found.z | spilt.reshape(found.z.shape))


def _top_field_forgotten(found: Integer, config: Config, tensors: Tensors) -> Integer:
    if "qzeros" not in tensors or config.get("sym") or _borrows(config):
        return found
    z = found.z.copy()
    z[:, 7::8] = _stored(tensors)[:, 7::8]
    return found.with_(z=z)


def _first_group_of_a_tile(found: Integer, config: Config, tensors: Tensors) -> Integer:
    if config.get("group_size", config.get("q_group_size")) != 32 or len(found.z) < 2:
        return found
    return found.with_(z=found.z[np.arange(len(found.z)) // 2 * 2])


def _all_zero_is_absent(found: Integer, config: Config, tensors: Tensors) -> Integer:
    return found if found.z.any() else found.with_(z=np.full_like(found.z, 8))


def _missing_qzeros(ask: Ask, config: Config, tensors: Tensors, dtype: str | None) -> Array:
    answer = ask(config, tensors, dtype)
    tensors["qzeros"]
    return answer


def _zeros_where(found: Integer, condition: np.ndarray, value: int) -> Integer:
    return found.with_(z=np.where(condition, value, found.z))


ZEROS = (
    Mutant(
        "ZP-01",
        Bug.MISLABELLED,
        "the label gptq is believed of a symmetric file that stores 8, and 1 is added",
        github("vllm-project/vllm#38966"),
        ("policies",),
        GPTQ,
        decode=misread(lambda c, t: (without(c, "meta") | {"sym": False}, t) if "qzeros" in t else (c, t)),
    ),
    Mutant(
        "ZP-02",
        Bug.LAYOUT_VERSION,
        "gptq_v2 is read as gptq, though its zero points are stored without the offset",
        github("vllm-project/vllm#26092", "unslothai/unsloth-zoo#848"),
        ("policies", "synthetic"),
        GPTQ,
        FAMILY,
        decode=misread(_as_version_1),
    ),
    Mutant(
        "ZP-03",
        Bug.ZERO_OFFSET,
        "1 is added to the masked field and not masked again: a stored 15 becomes 16",
        github("unslothai/unsloth-zoo#848"),
        ("policies", "arithmetic", "synthetic"),
        GPTQ,
        decode=spoilt(_no_mask),
    ),
    Mutant(
        "ZP-04",
        Bug.ZERO_OFFSET,
        "a stored 15 becomes 16 with act-order and 0 without: two kernels, two answers",
        github("AutoGPTQ/AutoGPTQ#484"),
        ("policies", "synthetic"),
        GPTQ,
        decode=spoilt(_no_mask_for_act_order),
    ),
    Mutant(
        "ZP-05",
        Bug.ZERO_OFFSET,
        "repacking takes 1 off every zero point: 0 wraps to 15 and comes back as 16",
        github("ModelCloud/GPTQModel#2350", "ModelCloud/GPTQModel#2351"),
        ("vectors", "arithmetic", "synthetic"),
        AWQ,
        decode=spoilt(lambda p, c, t: _zeros_where(p, p.z == 0, 16)),
    ),
    Mutant(
        "ZP-06",
        Bug.ZERO_OFFSET,
        "the repair of that clamps instead of wrapping: 0 comes back as 1",
        github("ModelCloud/GPTQModel#2352"),
        ("vectors", "arithmetic", "synthetic"),
        AWQ,
        decode=spoilt(lambda p, c, t: _zeros_where(p, p.z == 0, 1)),
    ),
    Mutant(
        "ZP-07",
        Bug.CROSS_WORD,
        "zero points are packed again as unsigned words with OR: a 0 fills all higher fields with ones",
        github("AutoGPTQ/AutoGPTQ#325", "AutoGPTQ/AutoGPTQ#640"),
        ("policies", "layouts", "synthetic"),
        GPTQ,
        decode=misread(_smeared),
    ),
    Mutant(
        "ZP-08",
        Bug.ZERO_OFFSET,
        "every zero point of 0 is made 1",
        github("huggingface/text-generation-inference#2120"),
        ("policies", "arithmetic", "synthetic"),
        GPTQ,
        decode=spoilt(lambda p, c, t: _zeros_where(p, p.z == 0, 1)),
    ),
    Mutant(
        "ZP-09",
        Bug.CROSS_WORD,
        "the offset is added to the packed word of every producer: fields of all ones carry into their neighbours",
        _GPTQMODEL_PACKED_ARITHMETIC,
        ("policies", "arithmetic", "synthetic"),
        GPTQ,
        decode=spoilt(_carried),
    ),
    Mutant(
        "ZP-09b",
        Bug.CROSS_WORD,
        "the borrow that GPTQModel left in packed words is not undone",
        _GPTQMODEL_PACKED_ARITHMETIC,
        ("policies",),
        GPTQ,
        decode=misread(lambda c, t: (without(c, "meta", "quantizer"), t)),
    ),
    Mutant(
        "ZP-10",
        Bug.CROSS_WORD,
        "the constant that adds 1 to a packed word lacks a field; at 3 bits a straddling one, here the topmost",
        github("ModelCloud/GPTQModel#2763"),
        ("vectors", "arithmetic", "layouts", "synthetic"),
        GPTQ,
        decode=spoilt(_top_field_forgotten),
    ),
    Mutant(
        "ZP-11",
        Bug.ZERO_OFFSET,
        "GPTQ's offset is added to AWQ's zero points, which have none",
        github("ModelCloud/GPTQModel#1872"),
        ("vectors", "arithmetic", "layouts", "synthetic", "modules"),
        AWQ,
        decode=spoilt(lambda p, c, t: p.with_(z=(p.z + 1) % 16)),
    ),
    Mutant(
        "ZP-12a",
        Bug.ZERO_OFFSET,
        "the offset is added twice, on load and again on conversion",
        github("ModelCloud/GPTQModel#1347", "ModelCloud/GPTQModel#1972"),
        ("vectors", "arithmetic", "synthetic", "modules"),
        GPTQ,
        decode=spoilt(lambda p, c, t: p.with_(z=(p.z + 1) % 16)),
    ),
    Mutant(
        "ZP-12b",
        Bug.ZERO_OFFSET,
        "the offset is not added at all",
        github("ModelCloud/GPTQModel#1347", "ModelCloud/GPTQModel#1972"),
        ("vectors", "arithmetic", "synthetic", "modules", "digests", "generation"),
        GPTQ,
        decode=spoilt(lambda p, c, t: p.with_(z=(p.z - 1) % 16)),
    ),
    Mutant(
        "ZP-13",
        Bug.ZERO_OFFSET,
        "the kernel's class decides about the offset: modules that are not wide enough for the fast one go without",
        github("ModelCloud/GPTQModel#2973"),
        ("layouts", "synthetic"),
        GPTQ,
        decode=spoilt(lambda p, c, t: p.with_(z=(p.z - 1) % 16) if p.q.shape[0] % 32 else p),
    ),
    Mutant(
        "ZP-14",
        Bug.ZERO_OFFSET,
        "sym: true makes every zero point 8, whatever the file stores",
        github("intel/auto-round#1732"),
        ("policies",),
        GPTQ,
        decode=spoilt(lambda p, c, t: p.with_(z=np.full_like(p.z, 8)) if c.get("sym") else p),
    ),
    Mutant(
        "ZP-15",
        Bug.ZERO_OFFSET,
        "symmetric files get the zero point 7, as it is stored, where 8 is meant",
        github("vllm-project/vllm-xpu-kernels#57"),
        ("vectors", "synthetic", "modules"),
        GPTQ,
        decode=spoilt(lambda p, c, t: p.with_(z=np.full_like(p.z, 7)) if c.get("sym") else p),
    ),
    Mutant(
        "ZP-16",
        Bug.SIGNEDNESS,
        "symmetric codes are taken for two's complement and their sign bit is flipped",
        github("ModelCloud/GPTQModel#2541"),
        ("vectors", "synthetic", "modules", "generation"),
        GPTQ,
        decode=spoilt(lambda p, c, t: p.with_(q=p.q ^ 8) if c.get("sym") else p),
    ),
    Mutant(
        "ZP-17",
        Bug.CONFIG_FALLBACK,
        "a config without zero_point is taken for symmetric, and its zero points for 8",
        github("ModelCloud/GPTQModel#2356", "vllm-project/vllm#7517"),
        ("synthetic",),
        AWQ,
        decode=spoilt(lambda p, c, t: p if "zero_point" in c else p.with_(z=np.full_like(p.z, 8))),
    ),
    Mutant(
        "ZP-18",
        Bug.GROUP_TAIL,
        "a tile of 64 inputs loads the zero points of its first group only; groups of 32 share a tile",
        github("sgl-project/sglang#37759"),
        ("vectors", "layouts", "synthetic"),
        decode=spoilt(_first_group_of_a_tile),
    ),
    Mutant(
        "ZP-20",
        Bug.SIGNEDNESS,
        "code minus zero point is computed in unsigned bytes and wraps",
        github("tile-ai/tilelang#2947"),
        ("vectors", "arithmetic", "layouts", "synthetic", "modules", "generation"),
        decode=spoilt(lambda p, c, t: p.with_(q=(p.q - p.z[p.g].T) % 256, z=np.zeros_like(p.z))),
    ),
    Mutant(
        "ZP-21",
        Bug.SIGNEDNESS,
        "zero points pass through a signed range, and 8 to 15 become 7",
        github("intel/auto-round#2273"),
        ("vectors", "arithmetic", "synthetic", "modules"),
        decode=spoilt(lambda p, c, t: p.with_(z=np.minimum(p.z, 7))),
    ),
    Mutant(
        "ZP-22",
        Bug.MISSING_TENSOR,
        "zero points that are all zero are dropped as if the module had none, and read back as 8",
        github("vllm-project/compressed-tensors#225"),
        ("layouts",),
        AWQ,
        decode=spoilt(_all_zero_is_absent),
    ),
    Mutant(
        "ZP-23",
        Bug.MISSING_TENSOR,
        "qzeros are looked up without asking, and a symmetric file without them ends in a KeyError",
        github("unslothai/unsloth-zoo#848"),
        ("policies",),
        GPTQ,
        decode=_missing_qzeros,
        loud=True,
    ),
    Mutant(
        "PK-02",
        Bug.INTERLEAVE,
        "codes are put in order, zero points are left interleaved",
        github("pie-project/pie#491"),
        ("vectors", "layouts", "synthetic"),
        AWQ,
        decode=spoilt(lambda p, c, t: p.with_(z=_stored(t))),
    ),
    Mutant(
        "PK-03",
        Bug.ZERO_PACK_AXIS,
        "qzeros are taken for [out / 8, groups] wherever both numbers are equal",
        github("sgl-project/sglang#39510"),
        ("vectors", "layouts", "synthetic"),
        decode=misread(
            lambda c, t: (
                (c, {**t, "qzeros": Array.of(np.ascontiguousarray(t["qzeros"].bits.T))})
                if "qzeros" in t and t["qzeros"].shape[0] == t["qzeros"].shape[1]
                else (c, t)
            )
        ),
    ),
    Mutant(
        "PK-12",
        Bug.ZERO_OFFSET,
        "zero points are masked with the mask of another width, here that of 3 bits",
        github("AutoGPTQ/AutoGPTQ#484"),
        ("vectors", "arithmetic", "synthetic", "modules"),
        GPTQ,
        decode=spoilt(lambda p, c, t: p.with_(z=p.z & 7)),
    ),
    Mutant(
        "PK-13",
        Bug.CROSS_WORD,
        "a zero point of 16 is written back unmasked and sets the lowest bit of the next field",
        github("intel/auto-round#2273"),
        ("arithmetic", "synthetic"),
        GPTQ,
        decode=spoilt(_spilt),
    ),
    Mutant(
        "PK-17",
        Bug.ZERO_OFFSET,
        "every zero point is 8: the format is taken for symmetric",
        github("ggml-org/llama.cpp#17064"),
        ("vectors", "arithmetic", "synthetic", "modules", "digests"),
        AWQ,
        decode=spoilt(lambda p, c, t: p.with_(z=np.full_like(p.z, 8))),
    ),
)
