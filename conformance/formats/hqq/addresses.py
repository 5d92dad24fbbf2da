"""Where every number of an HQQ module lies, from the sentences that define it.

Weight ``n = o * in + i`` of the matrix flattened by rows is folded to row ``n // group`` and column ``n % group`` along
axis 1, and to row ``n // columns`` and column ``n % columns`` along axis 0, where there are ``out * in / group``
columns. The rows are cut into as many equal parts as a word holds codes; one row of each part shares a row of words,
the first part in the highest bits that are used. A scale and a zero point belong to each row along axis 1, and to each
column along axis 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ..layout import Layout
from ..module import Shape
from .packing import PACKINGS, config, pack_floats

# By the kind of a shape: the axis, and whether words lie under the dtype of a float.
KINDS = {"axis-1": (1, False), "axis-0": (0, False), "axis-1-as-float": (1, True), "axis-0-as-float": (0, True)}
SHAPES = tuple(
    Shape(f"hqq-{bits}bit-{kind}", out, inputs, group, bits=bits, kind=kind)
    for kind, bits, out, inputs, group in (
        *(("axis-1", bits, 16, 32, 16) for bits in PACKINGS),
        *(("axis-0", bits, 16, 32, 16) for bits in PACKINGS),
        ("axis-1", 4, 32, 32, 32),
        ("axis-1", 4, 8, 128, 64),
        ("axis-1", 4, 24, 40, 40),
        ("axis-0", 4, 24, 40, 24),
        ("axis-0", 2, 40, 24, 8),
        # Groups across the ends of rows, along either axis, and rows that do not fill their last words.
        ("axis-1", 4, 24, 40, 24),
        ("axis-0", 4, 15, 40, 24),
        ("axis-1", 3, 15, 40, 24),
        ("axis-1", 3, 7, 32, 32),
        ("axis-0", 3, 16, 40, 8),
        ("axis-0", 3, 20, 24, 20),
        ("axis-1-as-float", 4, 16, 32, 16),
        ("axis-1-as-float", 3, 16, 32, 16),
        ("axis-0-as-float", 8, 8, 32, 8),
        ("axis-1", 8, 64, 64, 64),
    )
)


def _folded(shape: Shape) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Row and column of each weight, and how many there are of both."""
    count = shape.out * shape.in_features
    columns = shape.group_size if KINDS[shape.kind][0] else count // shape.group_size
    n = np.arange(count).reshape(shape.out, shape.in_features)
    return n // columns, n % columns, count // columns, columns


def code_places(shape: Shape) -> np.ndarray:
    row, column, rows, columns = _folded(shape)
    _, held, word = PACKINGS[shape.bits]
    height = -(-rows // held)
    width = 32 if word == "int32" else 8
    first = (row % height * columns + column) * width + (held - 1 - row // height) * shape.bits
    return first[..., None] + np.arange(shape.bits)


def weight_scales(shape: Shape) -> np.ndarray:
    row, column, _, _ = _folded(shape)
    return row if KINDS[shape.kind][0] else column


def constant(shape: Shape, code: int, zero: int) -> tuple[dict[str, Any], dict[str, Array]]:
    axis, as_float = KINDS[shape.kind]
    codes = np.full((shape.out, shape.in_features), code)
    groups = codes.size // shape.group_size
    ones, zeros = (Array.of(np.full(groups, value, np.float16)) for value in (1, zero))
    size, bits = shape.group_size, shape.bits
    tensors = pack_floats(codes, zeros, ones, bits=bits, group=size, axis=axis, as_float=as_float)
    return config(bits, size, axis, as_float), tensors


LAYOUT = Layout(
    codes="W_q",
    scales="scale",
    zeros=None,
    map=None,
    code_places=code_places,
    group_scales=weight_scales,
    weight_scales=weight_scales,
    # A code of 1 without a zero point is its scale.
    one=lambda bits: (1, 0),
    offsets=("zero",),
    subtracted=True,
)
