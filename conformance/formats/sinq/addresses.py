"""Where every number of a SINQ module lies, from the sentences that define it.

Weight ``n = o * in + i`` of the matrix flattened by rows lies in row ``n // group`` and column ``n % group`` of what is
folded. The rows are cut into as many equal parts as a word holds codes; one row of each part shares a row of words, the
first part in the highest bits that are used. A scale and a zero point belong to each row: in its own place, or by
tiles of as many outputs as inputs, tiles along the inputs first, outputs of a tile one after the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ..layout import Layout
from ..module import Shape
from .packing import PACKINGS, described, laid, meta

# By the kind of a shape: whether scales lie in tiles, and whether words lie under the dtype of a float.
KINDS = {"rows": (False, False), "tiles": (True, False), "rows-as-float": (False, True)}
SHAPES = tuple(
    Shape(f"sinq-{bits}bit-{kind}", out, inputs, group, bits=bits, kind=kind)
    for kind, bits, out, inputs, group in (
        *(("rows", bits, 16, 32, 16) for bits in PACKINGS),
        *(("tiles", bits, 32, 32, 16) for bits in (4, 3)),
        ("rows", 4, 8, 128, 64),
        ("rows", 4, 24, 40, 40),
        ("rows", 3, 7, 32, 32),
        ("rows", 5, 11, 48, 16),
        ("tiles", 8, 48, 32, 16),
        ("rows-as-float", 3, 16, 32, 16),
        ("rows-as-float", 6, 16, 32, 16),
    )
)


def code_places(shape: Shape) -> np.ndarray:
    n = np.arange(shape.out * shape.in_features).reshape(shape.out, shape.in_features)
    row, column = n // shape.group_size, n % shape.group_size
    _, held, word = PACKINGS[shape.bits]
    height = -(-(n.size // shape.group_size) // held)
    width = 32 if word == "int32" else 8
    first = (row % height * shape.group_size + column) * width + (held - 1 - row // height) * shape.bits
    return first[..., None] + np.arange(shape.bits)


def weight_scales(shape: Shape) -> np.ndarray:
    o, i = np.ogrid[: shape.out, : shape.in_features]
    size, groups = shape.group_size, shape.in_features // shape.group_size
    if not KINDS[shape.kind][0]:
        return o * groups + i // size
    return (o // size * groups + i // size) * size + o % size


def constant(shape: Shape, code: int, zero: int) -> tuple[dict[str, Any], dict[str, Array]]:
    tiles, as_float = KINDS[shape.kind]
    size, bits, dense = shape.group_size, shape.bits, (shape.out, shape.in_features)
    codes = np.full(dense, code)
    ones, zeros = (Array.of(np.full(codes.size // size, value, np.float16)) for value in (1, zero))
    columns = Array.of(np.ones((shape.out // size if tiles else 1, shape.in_features), np.float16))
    view = "float16" if as_float else None
    tensors = laid(codes, zeros, ones, columns, bits=bits, group=size, tiles=tiles, as_float=view)
    return described(meta(bits, size, dense, as_float=as_float)), tensors


LAYOUT = Layout(
    codes="W_q",
    scales="meta.scale",
    zeros=None,
    map=None,
    code_places=code_places,
    group_scales=weight_scales,
    weight_scales=weight_scales,
    # A code of 1 without a zero point is its scale.
    one=lambda bits: (1, 0),
    offsets=("meta.zero",),
    subtracted=True,
)
