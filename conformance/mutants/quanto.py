"""Faults in reading quanto's bytes: signs, scales, and the dtype of the product."""

from __future__ import annotations

import numpy as np

from ..bits.array import Array
from ..bits.rounding import nearest
from ..formats.parts import Integer
from .model import Bug, Config, Mutant, Tensors
from .wrap import Decode, spoilt, valued


def _per_input(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """Scales along the inputs, as far as there are."""
    wide = np.resize(found.s[0], found.q.shape[1])[:, None]
    spread = np.broadcast_to(wide, (found.q.shape[1], found.q.shape[0]))
    zeros = np.full(spread.shape, found.z.flat[0])
    return found.with_(s=spread, z=zeros, g=np.arange(found.q.shape[1]))


def _half_scales(found: Integer, dtype: str) -> Array:
    """Scales go through bfloat16, whatever they are stored as."""
    return found.with_(s=nearest(found.s, "bfloat16").float64()).dense(dtype)


def _mutant(id: str, bug: Bug, mechanism: str, file: str, killed_by: tuple[str, ...], decode: Decode) -> Mutant:
    return Mutant(id, bug, mechanism, (_TREE + file,), killed_by, ("quanto_int8",), (8,), decode)


_TREE = "https://github.com/huggingface/optimum-quanto/blob/v0.2.7/optimum/quanto/"

QUANTO: tuple[Mutant, ...] = (
    _mutant(
        "QO-01",
        Bug.SIGNEDNESS,
        "quanto's signed bytes are read as unsigned ones",
        "tensor/qtype.py",
        ("vectors", "arithmetic", "layouts", "synthetic", "modules"),
        spoilt(lambda p, c, t: p.with_(q=(p.q - 128) % 256 + 128)),
    ),
    _mutant(
        "QO-02",
        Bug.PACK_AXIS,
        "quanto's scales are taken along the inputs, as of a weight that is packed along its last axis",
        "tensor/weights/quantization.py",
        ("vectors", "layouts", "synthetic", "modules"),
        spoilt(_per_input),
    ),
    _mutant(
        "QO-03",
        Bug.OP_ORDER_DTYPE,
        "quanto's scales are rounded to bfloat16, whatever dtype they have",
        "tensor/qbytes.py",
        ("vectors", "arithmetic", "synthetic"),
        valued(_half_scales),
    ),
)
