"""Where every bit of an FP8 module lies, from the sentences that define the format and from nothing that packs.

``weight`` is a matrix [out, in] of bytes, a code each. The scale of a weight is element (o // rows, i // columns) of a
matrix of scales in row order, whatever is cut short at an edge.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.floats import E4M3
from ..layout import Layout
from ..module import Shape
from .packing import blocks

# Heights of blocks by the kind of a shape; None is one scale for each output, or for the matrix.
HEIGHTS: dict[str, int | None] = {"rows-1": 1, "rows-8": 8, "rows-32": 32, "rows-128": 128, "tensor": None}
SHAPES = tuple(
    Shape(f"fp8-{kind}", out, inputs, size, bits=8, kind=kind)
    for kind, out, inputs, size in (
        # Whole blocks: one, square, wide, tall; then cut short in rows, in columns, in both, and by all but one.
        ("rows-32", 32, 32, 32),
        ("rows-32", 64, 64, 32),
        ("rows-8", 16, 96, 16),
        ("rows-8", 96, 16, 16),
        ("rows-1", 24, 64, 32),
        ("rows-32", 40, 64, 32),
        ("rows-32", 64, 40, 32),
        ("rows-32", 72, 100, 32),
        ("rows-8", 9, 17, 16),
        ("rows-128", 40, 24, 128),
        ("rows-128", 136, 144, 128),
        ("rows-8", 24, 56, 24),
        ("tensor", 24, 40, -1),
    )
)


def _rows(shape: Shape) -> int:
    return HEIGHTS[shape.kind] or shape.out


def code_places(shape: Shape) -> np.ndarray:
    """Of ``weight[o, i]``, all bits."""
    o, i = np.arange(shape.out)[:, None], np.arange(shape.in_features)[None, :]
    return ((o * shape.in_features + i) * 8)[..., None] + np.arange(8)


def group_scales(shape: Shape) -> np.ndarray:
    """Element ``g`` of row ``o // rows`` of the scales."""
    return np.arange(shape.out)[:, None] // _rows(shape) * shape.groups + np.arange(shape.groups)[None, :]


def constant(shape: Shape, code: int, zero: int) -> tuple[dict[str, Any], dict[str, Array]]:
    rows = -(-shape.out // _rows(shape))
    tensors = {
        "weight": Array("float8_e4m3fn", np.full((shape.out, shape.in_features), code, np.uint8)),
        "weight_scale_inv": Array.of(np.ones((rows, shape.groups), np.float32)),
    }
    height = HEIGHTS[shape.kind]
    return blocks(None if height is None else (height, shape.group_size)), tensors


def read_codes(weights: np.ndarray, zero: int, bits: int) -> np.ndarray:
    """The code of each value. Zeros differ in their sign. NaN is taken for 0xFF, the only one that is stored.

    Within a byte, addresses differ in their lowest three bits alone: whatever else a pass stores is all ones or none.
    """
    found = np.where(np.isnan(weights), 0xFF, -1)
    for code in np.flatnonzero(np.isfinite(E4M3)):
        found[(weights == E4M3[code]) & (np.signbit(weights) == (code >= 0x80))] = code
    return found


LAYOUT = Layout(
    codes="weight",
    scales="weight_scale_inv",
    zeros=None,
    map=None,
    code_places=code_places,
    group_scales=group_scales,
    read_codes=read_codes,
    one=lambda bits: (0x38, 0),
)
