"""Faults in reading AWQ's packings other than gemm."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..bits.array import Array
from ..bits.fields import fields
from ..bits.rounding import nearest
from ..formats.awq_gemm.packing import natural
from ..formats.awq_gemv_fast.packing import PLACES
from ..formats.offset import Offset
from ..formats.parts import Integer
from ..formats.registry import parts
from .model import Ask, Bug, Config, Mutant, Tensors, github
from .wrap import Decode, misread, spoilt, tolerant, without

GEMV, FAST = ("awq_gemv",), ("awq_gemv_fast",)


def _gemm_order(found: Integer, config: Config, tensors: Tensors) -> Integer:
    return found.with_(q=natural(np.ascontiguousarray(found.q)))


def _gemm_order_of_zeros(found: Integer, config: Config, tensors: Tensors) -> Integer:
    stored = natural(fields(tensors["qzeros"].bits, 1).astype(np.int64))
    return found.with_(z=stored[:, : len(found.z)].T)


def _unpadded(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """Rows of whole words of eight groups, whatever the group size: those of smaller groups are longer."""
    groups, out = found.z.shape
    room = -(-groups // 8) * 8
    z = fields(tensors["qzeros"].bits, 1).reshape(-1)[: out * room].reshape(out, room)
    s = tensors["scales"].float64().reshape(-1)[: out * room].reshape(out, room)
    return found.with_(z=z[:, :groups].T.astype(np.int64), s=s[:, :groups].T)


def _one_more(found: Integer, config: Config, tensors: Tensors) -> Integer:
    return found.with_(z=(found.z + 1) % 16)


def _turned(config: Config, tensors: Tensors) -> tuple[Config, Tensors]:
    """Scales by groups and outputs, as gemm has them, where the file makes a square of them."""
    scales = tensors["scales"]
    if scales.shape[0] != scales.shape[1]:
        return config, tensors
    return config, {**tensors, "scales": Array(scales.dtype, np.ascontiguousarray(scales.bits.T))}


def _first_group(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """A group size of 128 inputs, which is the only one that the first kernels had."""
    n = found.q.shape[1]
    return found.with_(g=np.minimum(np.arange(n) // 128, len(found.s) - 1))


def _offset(value: Callable[[Offset, str, Tensors], Array]) -> Decode:
    """A decode of codes with offsets that ends in another way."""

    def decode(ask: Ask, config: Config, tensors: Tensors, dtype: str | None) -> Array:
        ask(config, tensors, dtype)
        found = parts(config, tensors)
        assert isinstance(found, Offset)
        return value(found, dtype or found.dtype, tensors)

    return decode


def _codes(change: Callable[[np.ndarray, Tensors], np.ndarray]) -> Decode:
    """The same with other codes."""
    return _offset(lambda found, dtype, tensors: found.with_(q=change(found.q, tensors)).dense(dtype))


def _in_file_order(q: np.ndarray, tensors: Tensors) -> np.ndarray:
    """The inputs of each 32 as they lie, in the order of the kernel's registers."""
    found = np.empty_like(q).reshape(len(q), -1, 32)
    found[:, :, PLACES] = q.reshape(found.shape)
    return found.reshape(q.shape)


def _pairs_alone(q: np.ndarray, tensors: Tensors) -> np.ndarray:
    """Words are put in order, and the nibbles of each are not: firsts of pairs before seconds."""
    return natural(np.ascontiguousarray(q))


def _four_outputs(q: np.ndarray, tensors: Tensors) -> np.ndarray:
    """A word of 16 bits is taken for one input of four outputs, as its shape suggests."""
    words = tensors["qweight"].bits.view(np.uint16).astype(np.int64)
    return np.stack([words >> 4 * n & 15 for n in range(4)], axis=1).reshape(q.shape)


def _signed(q: np.ndarray, tensors: Tensors) -> np.ndarray:
    """The topmost nibble of a negative word comes out of an arithmetic shift; it holds every fourth place."""
    top = np.zeros(q.shape[1], bool)
    top.reshape(-1, 32)[:, PLACES % 4 == 3] = True
    return np.where(top & (q > 7), q - 16, q)


def _zero_points(found: Offset, dtype: str, tensors: Tensors) -> Array:
    """Offsets are divided by scales into whole zero points, and weights are made as gemm's are."""
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(found.s == 0, 0, np.rint(-found.b / found.s))
    return nearest(found.s[found.g].T * (found.q - z[found.g].T), dtype)


def _two_roundings(found: Offset, dtype: str, tensors: Tensors) -> Array:
    products = nearest(found.q * found.s[found.g].T, found.dtype).float64()
    with np.errstate(invalid="ignore"):
        return nearest(products + found.b[found.g].T, dtype)


def _subtracted(found: Offset, dtype: str, tensors: Tensors) -> Array:
    return found.with_(b=-found.b).dense(dtype)


def _centred(found: Offset, dtype: str, tensors: Tensors) -> Array:
    """Codes count from -8, as in the first kernels, whose scaled zeros had 8 taken off."""
    return found.with_(q=found.q - 8).dense(dtype)


AWQ = (
    Mutant(
        "GV-01",
        Bug.INTERLEAVE,
        "gemv's codes are put through gemm's order of nibbles, though they lie in their own",
        github("unslothai/unsloth-zoo#848", "casper-hansen/AutoAWQ#217"),
        ("vectors", "layouts", "synthetic", "modules"),
        GEMV,
        decode=spoilt(_gemm_order),
    ),
    Mutant(
        "GV-01b",
        Bug.INTERLEAVE,
        "the same of gemv's zero points alone",
        github("sgl-project/sglang#39510", "casper-hansen/AutoAWQ#217"),
        ("vectors", "layouts", "synthetic", "modules"),
        GEMV,
        decode=spoilt(_gemm_order_of_zeros),
    ),
    Mutant(
        "GV-02",
        Bug.SHAPE_PADDING,
        "gemv's rows of zero points and scales are padded to 8 groups whatever the group size is",
        github("mit-han-lab/llm-awq#21", "casper-hansen/AutoAWQ#431"),
        ("vectors", "layouts", "synthetic", "modules"),
        GEMV,
        decode=spoilt(_unpadded),
    ),
    Mutant(
        "GV-03",
        Bug.ZERO_OFFSET,
        "GPTQ's conversion of zero points is applied to gemv's, which are stored as they are",
        github("ModelCloud/GPTQModel#1872"),
        ("vectors", "arithmetic", "layouts", "synthetic", "modules"),
        GEMV,
        decode=spoilt(_one_more),
    ),
    Mutant(
        "GV-04",
        Bug.PACK_AXIS,
        "gemv's scales are taken by groups and outputs, as gemm has them, wherever that fits",
        github("casper-hansen/AutoAWQ#217", "casper-hansen/AutoAWQ#40"),
        ("layouts",),
        GEMV,
        decode=misread(_turned),
    ),
    Mutant(
        "GV-05",
        Bug.CONFIG_FALLBACK,
        "groups have 128 inputs whatever the config says, as in the first kernels",
        github("mit-han-lab/llm-awq#21"),
        ("vectors", "layouts", "synthetic", "modules"),
        GEMV,
        decode=spoilt(_first_group),
    ),
    Mutant(
        "GF-01",
        Bug.INTERLEAVE,
        "of gemv_fast's blocks only the outputs are put in order, and the inputs of each 32 stay as a kernel has them",
        github("vllm-project/vllm#3289"),
        ("vectors", "layouts", "synthetic", "modules"),
        FAST,
        decode=_codes(_in_file_order),
    ),
    Mutant(
        "GF-01b",
        Bug.NIBBLE_ORDER,
        "words of eight are put in order, and the nibbles of each are not",
        github("vllm-project/vllm#3289", "casper-hansen/AutoAWQ#365"),
        ("vectors", "layouts", "synthetic", "modules"),
        FAST,
        decode=_codes(_pairs_alone),
    ),
    Mutant(
        "GF-02",
        Bug.PACK_AXIS,
        "a word of 16 bits is taken for one input of four outputs, as its shape suggests",
        github("vllm-project/vllm#3289"),
        ("vectors", "layouts", "synthetic", "modules"),
        FAST,
        decode=_codes(_four_outputs),
    ),
    Mutant(
        "GF-03",
        Bug.SIGNEDNESS,
        "words of 16 bits are shifted as signed numbers, so that the topmost code may be negative",
        github("vllm-project/vllm#3289"),
        ("vectors", "layouts", "synthetic", "modules"),
        FAST,
        decode=_codes(_signed),
    ),
    Mutant(
        "GF-04",
        Bug.ROUNDING,
        "scaled zeros are taken back to whole zero points, and weights are products as gemm's are",
        github("ModelCloud/GPTQModel#2252", "vllm-project/llm-compressor#2087"),
        ("vectors", "arithmetic", "synthetic", "modules", "digests"),
        FAST,
        decode=_offset(_zero_points),
    ),
    Mutant(
        "GF-05",
        Bug.OP_ORDER_DTYPE,
        "the product is rounded before the scaled zero is added, where the kernel rounds once",
        github("casper-hansen/AutoAWQ#365"),
        ("vectors", "arithmetic", "synthetic", "modules", "digests"),
        FAST,
        decode=_offset(_two_roundings),
    ),
    Mutant(
        "GF-06",
        Bug.ZERO_OFFSET,
        "scaled zeros are subtracted, although they carry their sign",
        github("ModelCloud/GPTQModel#2252"),
        ("vectors", "arithmetic", "layouts", "synthetic", "modules"),
        FAST,
        decode=_offset(_subtracted),
    ),
    Mutant(
        "GF-07",
        Bug.ZERO_OFFSET,
        "codes count from -8, which the first version of the kernels had taken off the scaled zeros",
        github("mit-han-lab/llm-awq#21"),
        ("vectors", "arithmetic", "layouts", "synthetic", "modules"),
        FAST,
        decode=_offset(_centred),
    ),
    Mutant(
        "GF-08",
        Bug.MISLABELLED,
        "llm-awq is loaded as the version that stands beside its backend",
        github("huggingface/transformers#42776", "vllm-project/vllm#2874"),
        ("refusals",),
        FAST,
        decode=tolerant(lambda c, t: (without(c, "backend") | {"version": "gemv_fast"}, t)),
    ),
)
