"""Faults in reading torchao's integers in bytes: signs, zero points, blocks, and the dtypes of two roundings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..bits.array import Array
from ..bits.rounding import nearest
from ..formats.parts import Integer
from .model import Bug, Config, Mutant, Tensors, github
from .wrap import Decode, spoilt, valued


def _turned_scales(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """The numbers of a grid of scales in the order in which Int4Tensor has them: a row a group."""
    shape = found.s.shape
    return found.with_(s=found.s.T.reshape(shape))


def _first_scale(found: Integer, config: Config, tensors: Tensors) -> Integer:
    return found.with_(s=np.broadcast_to(found.s[:1, :1], found.s.shape))


def _half_scales(found: Integer, dtype: str) -> Array:
    """Scales are rounded to the dtype of the weight before they multiply."""
    return found.with_(s=nearest(found.s, dtype).float64()).dense(dtype)


def _once(found: Integer, dtype: str) -> Array:
    """The exact product is rounded once, as a format with scales of the weight's dtype does it."""
    return nearest(found.s[found.g].T * (found.q - found.z[found.g].T), dtype)


def _in_dtype_of_scales(found: Integer, config: Config, tensors: Tensors) -> Integer:
    return replace(found, dtype=tensors["_weight_scale"].dtype)


def _mutant(
    id: str, bug: Bug, mechanism: str, links: tuple[str, ...], killed_by: tuple[str, ...], decode: Decode
) -> Mutant:
    return Mutant(id, bug, mechanism, links, killed_by, ("torchao_int8",), (8,), decode)


_TREE = "https://github.com/pytorch/ao/blob/v0.18.0/torchao/quantization/"
_PRIMITIVES = (_TREE + "quant_primitives.py",)
_INT4 = (_TREE + "quantize_/workflows/int4/int4_tensor.py",)
_SIGNED = (_TREE + "quantize_/workflows/int8/int8_tensor.py",)

TORCHAO: tuple[Mutant, ...] = (
    _mutant(
        "TO-01",
        Bug.SIGNEDNESS,
        "signed bytes of torchao are read as unsigned ones",
        _SIGNED,
        ("vectors", "arithmetic", "layouts", "synthetic", "modules"),
        spoilt(lambda p, c, t: p.with_(q=(p.q - 128) % 256 + 128)),
    ),
    _mutant(
        "TO-01b",
        Bug.MISSING_TENSOR,
        "zero points of torchao's weights are taken for zeros, as they mostly are",
        github("pytorch/ao#1317"),
        ("vectors", "arithmetic", "layouts", "synthetic", "modules"),
        spoilt(lambda p, c, t: p.with_(z=np.full_like(p.z, 128))),
    ),
    _mutant(
        "TO-02",
        Bug.GROUP_INDEX,
        "one scale is used for the whole weight, whatever the block says",
        github("pytorch/ao#2253"),
        ("vectors", "arithmetic", "layouts", "synthetic", "modules"),
        spoilt(_first_scale),
    ),
    _mutant(
        "TO-02b",
        Bug.PACK_AXIS,
        "a grid of scales is read with a row a group, as that of Int4Tensor lies",
        _INT4,
        ("vectors", "layouts", "synthetic", "modules"),
        spoilt(_turned_scales),
    ),
    _mutant(
        "TO-03",
        Bug.OP_ORDER_DTYPE,
        "float32 scales are rounded to the dtype of the weight before they multiply",
        github("pytorch/ao#3819", "pytorch/ao#534"),
        ("vectors", "arithmetic", "synthetic", "modules"),
        valued(_half_scales),
    ),
    _mutant(
        "TO-03b",
        Bug.ROUNDING,
        "the product with a float32 scale is rounded once, where torchao rounds it to float32 first",
        _PRIMITIVES,
        ("vectors", "sizes"),
        valued(_once),
    ),
    _mutant(
        "TO-04",
        Bug.OP_ORDER_DTYPE,
        "weights come in the dtype of their scales, and not in that of the header",
        github("pytorch/ao#534"),
        ("vectors", "arithmetic", "synthetic", "modules"),
        spoilt(_in_dtype_of_scales),
    ),
)
