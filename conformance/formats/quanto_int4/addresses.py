"""Where every number of a ``qint4`` or ``qint2`` module lies, from the sentences that define it.

Weight ``n = o * in + i`` of the matrix flattened by rows is number ``n % group`` of group ``n // group``. The groups
are cut into as many parts as a byte holds codes, all but the last equally long; one group of each part shares a row of
bytes, the first part in the lowest bits. A scale and a shift belong to each group.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ..layout import Layout
from ..module import Shape
from .packing import CODES, SCALES, SHIFTS, described, pack_floats

SHAPES = tuple(
    Shape(f"quanto-int{bits}", out, inputs, group, bits=bits)
    for bits, out, inputs, group in (
        *((bits, *shape) for bits in (4, 2) for shape in ((16, 32, 32), (8, 128, 32), (5, 96, 32), (17, 33, 33))),
        *((4, *shape) for shape in ((3, 192, 96), (4, 256, 128), (1, 64, 32), (64, 2, 1))),
        *((2, *shape) for shape in ((1, 192, 64), (3, 24, 24))),
    )
)


def _held(shape: Shape) -> int:
    return 8 // shape.bits


def code_places(shape: Shape) -> np.ndarray:
    n = np.arange(shape.out * shape.in_features).reshape(shape.out, shape.in_features)
    row, column = n // shape.group_size, n % shape.group_size
    height = -(-n.size // shape.group_size // _held(shape))
    first = (row % height * shape.group_size + column) * 8 + row // height * shape.bits
    return first[..., None] + np.arange(shape.bits)


def group_scales(shape: Shape) -> np.ndarray:
    return np.arange(shape.out * shape.groups).reshape(shape.out, shape.groups)


def constant(shape: Shape, code: int, zero: int) -> tuple[dict[str, Any], dict[str, Array]]:
    """Of scales of 1, so that a zero point is a shift."""
    codes = np.full((shape.out, shape.in_features), code)
    ones, shifts = (Array.of(np.full(shape.out * shape.groups, value, np.float16)) for value in (1, zero))
    return described(f"qint{shape.bits}", shape.in_features), pack_floats(codes, shifts, ones, bits=shape.bits)


LAYOUT = Layout(
    codes=CODES,
    scales=SCALES,
    zeros=None,
    map=None,
    code_places=code_places,
    group_scales=group_scales,
    # A code of 1 without a shift is its scale.
    one=lambda bits: (1, 0),
    offsets=(SHIFTS,),
    subtracted=True,
)
