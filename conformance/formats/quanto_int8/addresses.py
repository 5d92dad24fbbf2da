"""Where every bit of a ``qint8`` module lies, from the sentences that define it and nothing that packs."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ..layout import Layout
from ..module import Shape
from .packing import CODES, SCALES, described

SHAPES = tuple(
    Shape("quanto-int8", out, inputs, -1, bits=8)
    for out, inputs in ((8, 8), (24, 40), (40, 24), (17, 33), (1, 64), (64, 1), (48, 96))
)


def code_places(shape: Shape) -> np.ndarray:
    """Bit ``b`` of code ``i`` of output ``o`` is bit ``b`` of element ``i`` of row ``o`` of ``weight._data``."""
    o, i, b = np.ogrid[: shape.out, : shape.in_features, :8]
    return (o * shape.in_features + i) * 8 + b


def group_scales(shape: Shape) -> np.ndarray:
    """Row ``o`` of ``weight._scale``."""
    return np.arange(shape.out)[:, None]


def signed(fields: np.ndarray, bits: int) -> np.ndarray:
    """Bytes are signed, and codes are counted from -128: the highest bit is the other one."""
    return fields ^ 0x80


def constant(shape: Shape, code: int, zero: int) -> tuple[dict[str, Any], dict[str, Array]]:
    """Whatever the zero point, it is 128."""
    codes = np.full((shape.out, shape.in_features), code ^ 0x80, np.uint8).view(np.int8)
    return described(), {CODES: Array.of(codes), SCALES: Array.of(np.ones((shape.out, 1), np.float16))}


LAYOUT = Layout(
    codes=CODES,
    scales=SCALES,
    zeros=None,
    map=None,
    code_places=code_places,
    group_scales=group_scales,
    stored_code=signed,
)
