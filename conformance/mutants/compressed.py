"""Faults in reading compressed-tensors' integers."""

from __future__ import annotations

import numpy as np

from ..bits.array import Array
from ..formats.awq_gemm.packing import natural
from ..formats.ct_packed.packing import unpacked
from ..formats.parts import Integer
from .model import Bug, Config, Mutant, Tensors, github
from .wrap import misread, spoilt

PACKED, BYTES = ("ct_packed",), ("ct_int",)
BROKEN = (3, 5, 6, 7)
WIDTHS = (2, 3, 4, 5, 6, 7, 8)


def _padding_ignored(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """A stream of bits is read wherever there are words enough for one."""
    words = tensors["weight_packed"].bits
    stream = -(-found.q.shape[1] * found.bits // 32)
    q = unpacked(words[:, :stream], found.bits, found.q.shape[1]) if words.shape[1] >= stream else found.q
    return found.with_(q=q)


def _always_padded(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """Whole fields a word; what the words do not hold is 0."""
    words, each = tensors["weight_packed"].bits, 32 // found.bits
    count = min(found.q.shape[1], words.shape[1] * each)
    spread = np.ascontiguousarray(words).view(np.uint32)[..., None] >> (found.bits * np.arange(each, dtype=np.uint32))
    q = np.zeros_like(found.q)
    q[:, :count] = (spread & np.uint32((1 << found.bits) - 1)).reshape(len(words), -1)[:, :count]
    return found.with_(q=q)


def _middle(found: Integer, value: int) -> Integer:
    return found.with_(z=np.full_like(found.z, value))


def _interleaved_zeros(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """AWQ's order of nibbles is undone where there is none; outputs that fill no eight are left."""
    if "weight_zero_point" not in tensors or found.z.shape[1] % 8:
        return found
    return found.with_(z=natural(np.ascontiguousarray(found.z)))


def _turned_zeros(config: Config, tensors: Tensors) -> tuple[Config, Tensors]:
    zeros = tensors.get("weight_zero_point")
    if zeros is None or len(zeros.shape) != 2 or zeros.shape[0] != zeros.shape[1]:
        return config, tensors
    return config, {**tensors, "weight_zero_point": Array(zeros.dtype, np.ascontiguousarray(zeros.bits.T))}


def _one_tile(found: Integer, config: Config, tensors: Tensors) -> Integer:
    if len(found.z) < 2 or found.q.shape[1] // len(found.z) != 32:
        return found
    return found.with_(z=found.z[np.arange(len(found.z)) // 2 * 2])


def _by_position(found: Integer, config: Config, tensors: Tensors) -> Integer:
    n = found.q.shape[1]
    return found.with_(g=np.arange(n) // -(-n // len(found.s)))


def _two_complement(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """Codes as if the file held them without the offset: the highest bit is the other one."""
    return found.with_(q=found.q ^ (1 << (found.bits - 1)))


COMPRESSED = (
    Mutant(
        "PK-08",
        Bug.LAYOUT_VERSION,
        "padded words of compressed-tensors before 0.18 are read as the stream of bits that later releases write",
        github("vllm-project/compressed-tensors#732", "vllm-project/compressed-tensors#715"),
        ("vectors", "policies", "layouts", "synthetic"),
        PACKED,
        BROKEN,
        decode=spoilt(_padding_ignored),
    ),
    Mutant(
        "PK-08b",
        Bug.LAYOUT_VERSION,
        "a stream of bits is read as padded words, as compressed-tensors before 0.18 wrote them",
        github("ggml-org/llama.cpp#17069", "vllm-project/compressed-tensors#732"),
        ("vectors", "layouts", "synthetic"),
        PACKED,
        BROKEN,
        decode=spoilt(_always_padded),
    ),
    Mutant(
        "PK-03b",
        Bug.INTERLEAVE,
        "compressed-tensors' zero points are put through AWQ's order of nibbles, though they lie in their own",
        github("sgl-project/sglang#39510"),
        ("vectors", "layouts", "synthetic", "modules"),
        PACKED,
        decode=spoilt(_interleaved_zeros),
    ),
    Mutant(
        "PK-03c",
        Bug.ZERO_PACK_AXIS,
        "compressed-tensors' zero points are not turned, wherever their words make a square",
        github("sgl-project/sglang#39510"),
        ("layouts", "synthetic"),
        PACKED,
        WIDTHS,
        decode=misread(_turned_zeros),
    ),
    Mutant(
        "ZP-18b",
        Bug.GROUP_TAIL,
        "a tile of 64 inputs loads the zero points of its first group only; of compressed-tensors' groups of 32",
        github("sgl-project/sglang#37759"),
        ("vectors", "layouts", "synthetic", "modules"),
        PACKED,
        WIDTHS,
        decode=spoilt(_one_tile),
    ),
    Mutant(
        "ZP-22b",
        Bug.MISSING_TENSOR,
        "compressed-tensors' zero points are dropped, and the module is read as symmetric",
        github("vllm-project/compressed-tensors#225"),
        ("vectors", "arithmetic", "layouts", "synthetic", "modules"),
        PACKED,
        WIDTHS,
        decode=spoilt(lambda p, c, t: _middle(p, 1 << (p.bits - 1))),
    ),
    Mutant(
        "CT-01",
        Bug.SIGNEDNESS,
        "packed codes are read as two's complement, without the offset that makes them unsigned",
        github("vllm-project/compressed-tensors#715"),
        ("vectors", "arithmetic", "layouts", "synthetic", "modules"),
        PACKED,
        WIDTHS,
        decode=spoilt(_two_complement),
    ),
    Mutant(
        "CT-02",
        Bug.ZERO_OFFSET,
        "the offset is taken off the codes, and not off the zero points",
        github("sgl-project/sglang#39510"),
        ("vectors", "arithmetic", "layouts", "synthetic", "modules"),
        PACKED,
        WIDTHS,
        decode=spoilt(lambda p, c, t: p.with_(z=p.z + (1 << (p.bits - 1))) if "weight_zero_point" in t else p),
    ),
    Mutant(
        "CT-03",
        Bug.GROUP_INDEX,
        "weight_g_idx is ignored, and groups are taken from the position",
        github("vllm-project/compressed-tensors#732"),
        ("vectors", "layouts", "synthetic"),
        PACKED,
        WIDTHS,
        decode=spoilt(_by_position),
    ),
    Mutant(
        "CT-04",
        Bug.SIGNEDNESS,
        "signed bytes are read as unsigned ones",
        github("vllm-project/compressed-tensors#225"),
        ("vectors", "arithmetic", "layouts", "synthetic", "modules"),
        BYTES,
        (4, 8),
        decode=spoilt(lambda p, c, t: p.with_(q=(p.q - 128) % 256 + 128)),
    ),
    Mutant(
        "CT-05",
        Bug.MISSING_TENSOR,
        "the zero points of signed bytes are ignored",
        github("vllm-project/compressed-tensors#225"),
        ("vectors", "arithmetic", "layouts", "synthetic"),
        BYTES,
        (4, 8),
        decode=spoilt(lambda p, c, t: _middle(p, 128)),
    ),
)
