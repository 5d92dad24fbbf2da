"""Where every bit of a module of Quark's integers lies, from the sentences that define it and nothing that packs."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ..dialects import quark as dialect
from ..layout import Layout
from ..module import Shape
from .packing import packed

_NIBBLE_OF_NUMBER = (0, 4, 1, 5, 2, 6, 3, 7)
# Unsigned types, for proof; the highest bit of a number in two's complement is the other one, which arithmetic sees.
SHAPES = (
    *(
        Shape(f"quark-{dtype}", *numbers, bits=int(dtype[-1]), kind=f"{dtype} reorder")
        for dtype in ("uint4", "uint8")
        for numbers in ((8, 32, 32), (32, 32, 32), (16, 64, 32), (40, 40, 8), (24, 96, -1), (64, 72, 24))
    ),
    *(
        Shape("quark-uint4-order", *numbers, bits=4, kind="uint4 order")
        for numbers in ((8, 32, 32), (16, 64, 32), (24, 40, -1))
    ),
    Shape("quark-uint8-odd", 5, 7, -1, bits=8, kind="uint8 reorder"),
    *(
        Shape("quark-uint2", *numbers, bits=2, kind="uint2 reorder")
        for numbers in ((8, 32, 32), (32, 32, 32), (16, 64, 32), (20, 40, 8), (12, 36, -1), (36, 24, 12))
    ),
)


def _within(number: np.ndarray, shape: Shape) -> np.ndarray:
    """Bits [..., bits] of the number of a row: bytes, nibbles of words, interleaved or not, or four a byte."""
    if shape.bits == 4 and shape.kind.endswith("reorder"):
        number = number // 8 * 8 + np.array(_NIBBLE_OF_NUMBER)[number % 8]
    if shape.bits == 2:
        number = number // 4 * 4 + 3 - number % 4
    return number[..., None] * shape.bits + np.arange(shape.bits)


def code_places(shape: Shape) -> np.ndarray:
    """Number ``o`` of row ``i`` of ``weight`` in groups, number ``i`` of row ``o`` where a scale has an output."""
    o, i = np.ogrid[: shape.out, : shape.in_features]
    if shape.group_size == -1:
        return _within(i + 0 * o, shape) + (o * shape.in_features * shape.bits)[..., None]
    return _within(o + 0 * i, shape) + (i * shape.out * shape.bits)[..., None]


def zero_places(shape: Shape) -> np.ndarray:
    """Number ``o`` of row ``g`` of ``weight_zero_point``, which has one row where a scale has an output."""
    o, g = np.arange(shape.out)[:, None], shape.group_index()[None, :]
    return _within(o + 0 * g, shape) + (g * shape.out * shape.bits)[..., None]


def group_scales(shape: Shape) -> np.ndarray:
    """Element ``o`` of row ``g`` of ``weight_scale``."""
    return np.arange(shape.groups)[None, :] * shape.out + np.arange(shape.out)[:, None]


def _config(shape: Shape) -> dict[str, Any]:
    dtype, order = shape.kind.split()
    strategy = "channel" if shape.group_size == -1 else "group"
    return dialect.config(dialect.weight(dtype, strategy, shape.group_size), order)


def constant(shape: Shape, code: int, zero: int) -> tuple[dict[str, Any], dict[str, Array]]:
    config = _config(shape)
    scales = Array.of(np.ones((shape.groups, shape.out), np.float16))
    codes, zeros = np.full((shape.out, shape.in_features), code), np.full((shape.groups, shape.out), zero)
    return config, packed(config, codes, zeros, scales)


LAYOUT = Layout(
    codes="weight",
    scales="weight_scale",
    zeros="weight_zero_point",
    map=None,
    code_places=code_places,
    group_scales=group_scales,
    zero_places=zero_places,
)
