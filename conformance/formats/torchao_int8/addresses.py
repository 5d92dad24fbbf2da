"""Where every bit of a module of torchao's bytes lies, from the sentences that define it and nothing that packs."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ..layout import Layout
from ..module import Shape
from .packing import CODES, SCALES, ZEROS, described, entry, pack, without_zeros

SHAPES = (
    *(
        Shape("torchao-int8", *n, bits=8)
        for n in ((8, 32, 32), (32, 32, 32), (16, 64, 32), (40, 40, 8), (24, 96, -1), (5, 7, -1))
    ),
    *(Shape("torchao-int8-sym", *n, bits=8, kind="symmetric") for n in ((16, 64, 32), (24, 40, -1))),
)


def code_places(shape: Shape) -> np.ndarray:
    """Bit ``b`` of code ``i`` of output ``o`` is bit ``b`` of element ``i`` of row ``o`` of ``_weight_qdata``."""
    o, i, b = np.ogrid[: shape.out, : shape.in_features, :8]
    return (o * shape.in_features + i) * 8 + b


def zero_places(shape: Shape) -> np.ndarray:
    """Bit ``b`` of the zero point of output ``o`` in group ``g`` is bit ``b`` of element ``g`` of row ``o``."""
    o, b = np.arange(shape.out)[:, None, None], np.arange(8)
    return (o * shape.groups + shape.group_index()[None, :, None]) * 8 + b


def group_scales(shape: Shape) -> np.ndarray:
    """Element ``g`` of row ``o`` of ``_weight_scale``."""
    return np.arange(shape.out)[:, None] * shape.groups + np.arange(shape.groups)[None, :]


def signed(fields: np.ndarray, bits: int) -> np.ndarray:
    """Bytes are signed, and codes are counted from -128: the highest bit is the other one."""
    return fields ^ 0x80


def constant(shape: Shape, code: int, zero: int) -> tuple[dict[str, Any], dict[str, Array]]:
    symmetric = shape.kind == "symmetric"
    own = entry(block=(1, shape.in_features // shape.groups), dtype="float32")
    scales = Array.of(np.ones((shape.groups, shape.out), np.float32))
    codes, zeros = np.full((shape.out, shape.in_features), code), np.full((shape.groups, shape.out), zero)
    return described(without_zeros(own) if symmetric else own), pack(codes, zeros, scales, without=symmetric)


LAYOUT = Layout(
    codes=CODES,
    scales=SCALES,
    zeros=ZEROS,
    map=None,
    code_places=code_places,
    group_scales=group_scales,
    zero_places=zero_places,
    stored_code=signed,
    stored_zero=signed,
)
