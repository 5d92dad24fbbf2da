"""Faults in reading AWQ's packings other than gemm."""

from __future__ import annotations

import numpy as np

from ..bits.array import Array
from ..bits.fields import fields
from ..formats.awq_gemm.packing import natural
from ..formats.parts import Integer
from .model import Bug, Config, Mutant, Tensors, github
from .wrap import misread, spoilt

GEMV = ("awq_gemv",)


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
)
