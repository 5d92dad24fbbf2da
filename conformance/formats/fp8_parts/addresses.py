"""Where every bit of a module of torchao's FP8 lies, from the sentences that define it and from nothing that packs.

``_weight_qdata`` is a matrix [out, in] of bytes, a code each. The scale of a weight is element (o // rows, i //
columns) of ``_weight_scale``. quanto's parts have other names, and rows of a scale each: the grid has
them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ..fp8.addresses import read_codes
from ..layout import Layout
from ..module import Shape
from .packing import NAMES, TORCHAO, stored, torchao

# Heights of blocks by the kind of a shape; None is one scale for the matrix.
HEIGHTS: dict[str, int | None] = {"rows-1": 1, "rows-8": 8, "tensor": None}
SHAPES = tuple(
    Shape(f"fp8-parts-{kind}", out, inputs, size, bits=8, kind=kind)
    for kind, out, inputs, size in (
        ("rows-1", 24, 40, -1),
        ("rows-1", 24, 64, 32),
        ("rows-1", 17, 33, -1),
        ("rows-8", 16, 96, 16),
        ("rows-8", 40, 24, 24),
        ("tensor", 24, 40, -1),
    )
)


def _rows(shape: Shape) -> int:
    return HEIGHTS[shape.kind] or shape.out


def code_places(shape: Shape) -> np.ndarray:
    """Of ``_weight_qdata[o, i]``, all bits."""
    o, i = np.arange(shape.out)[:, None], np.arange(shape.in_features)[None, :]
    return ((o * shape.in_features + i) * 8)[..., None] + np.arange(8)


def group_scales(shape: Shape) -> np.ndarray:
    """Element ``g`` of row ``o // rows`` of the scales."""
    return np.arange(shape.out)[:, None] // _rows(shape) * shape.groups + np.arange(shape.groups)[None, :]


def constant(shape: Shape, code: int, zero: int) -> tuple[dict[str, Any], dict[str, Array]]:
    rows = _rows(shape)
    ones = Array.of(np.ones((shape.out // rows, shape.groups), np.float32))
    codes = np.full((shape.out, shape.in_features), code, np.uint8)
    return torchao((rows, shape.in_features // shape.groups), "float32"), stored(TORCHAO, codes, ones)


LAYOUT = Layout(
    codes=NAMES[TORCHAO][0],
    scales=NAMES[TORCHAO][1],
    zeros=None,
    map=None,
    code_places=code_places,
    group_scales=group_scales,
    read_codes=read_codes,
    one=lambda bits: (0x38, 0),
)
