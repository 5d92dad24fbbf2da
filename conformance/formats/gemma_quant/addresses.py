"""Where every bit of a module of Gemma's integers lies, from the sentences that define it and nothing that packs."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ..layout import Layout
from ..module import Shape
from .packing import config, pack

SHAPES = tuple(
    Shape(f"gemma-{bits}bit", out, inputs, -1, bits=bits)
    for bits in (2, 4, 8)
    for out, inputs in ((8, 8), (24, 40), (40, 24), (17, 36), (1, 64), (64, 4), (48, 96))
)


def code_places(shape: Shape) -> np.ndarray:
    """A row is a stream of bits, the lowest first: bit ``b`` of code ``i`` is bit ``i * bits + b`` of its row."""
    o, i, b = np.ogrid[: shape.out, : shape.in_features, : shape.bits]
    return (o * shape.in_features + i) * shape.bits + b


def group_scales(shape: Shape) -> np.ndarray:
    """Element ``o`` of the column."""
    return np.arange(shape.out)[:, None]


def signed(fields: np.ndarray, bits: int) -> np.ndarray:
    """Bytes are signed, and their codes are counted from -128: the highest bit is the other one. Others are not."""
    return fields ^ 0x80 if bits == 8 else fields


def constant(shape: Shape, code: int, zero: int) -> tuple[dict[str, Any], dict[str, Array]]:
    codes = np.full((shape.out, shape.in_features), code)
    scales = Array.of(np.ones((1, shape.out), np.float32))
    return config(shape.bits), pack(codes, codes, scales, bits=shape.bits)


LAYOUT = Layout(
    codes="weight",
    scales="weight_scale",
    zeros=None,
    map=None,
    code_places=code_places,
    group_scales=group_scales,
    stored_code=signed,
)
