"""Where every bit of an int8 module of bitsandbytes lies: a byte a weight, in rows, and a scale a row."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ..dialects import bitsandbytes as dialect
from ..layout import Layout
from ..module import Shape
from .packing import pack

SHAPES = tuple(
    Shape("bnb-int8", out, inputs, -1, bits=8)
    for out, inputs in ((8, 8), (24, 40), (40, 24), (17, 33), (1, 64), (64, 1), (48, 96))
)
# Undoes the factor: of each code both products are whole numbers of float32.
_SCALE = np.float32(127)


def code_places(shape: Shape) -> np.ndarray:
    o, i = np.arange(shape.out)[:, None], np.arange(shape.in_features)[None, :]
    return ((o * shape.in_features + i) * 8)[..., None] + np.arange(8)


def group_scales(shape: Shape) -> np.ndarray:
    return np.arange(shape.out)[:, None]


def constant(shape: Shape, code: int, zero: int) -> tuple[dict[str, Any], dict[str, Array]]:
    codes = np.full((shape.out, shape.in_features), code, np.uint8).view(np.int8)
    return dialect.config("int8"), pack(codes, codes, Array.of(np.full(shape.out, _SCALE)))


def read_codes(weights: np.ndarray, zero: int, bits: int) -> np.ndarray:
    """Bytes of signed codes."""
    found = np.rint(weights).astype(np.int64)
    whole = (weights == found) & (found >= -128) & (found < 128)
    return np.where(whole, found & 0xFF, -1)


def scales_of(bits: np.ndarray, like: Array) -> Array:
    """127 and 254, of which a code of 1 makes exactly 1 and 2."""
    return Array.of((_SCALE * (1 + bits)).astype(np.float32).reshape(like.shape))


LAYOUT = Layout(
    codes="weight",
    scales="SCB",
    zeros=None,
    map=None,
    code_places=code_places,
    group_scales=group_scales,
    read_codes=read_codes,
    one=lambda bits: (1, 0),
    scales_of=scales_of,
)
