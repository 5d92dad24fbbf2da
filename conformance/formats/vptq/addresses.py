"""Where every bit of a module of VPTQ's lies, from the sentences that define it and nothing that packs.

Each codebook has the words of its rows of vectors, one row after the other. A row is a stream of bits, lowest first:
for each input of the codebook a code and then that of its residual. Column ``j`` of all codebooks side by side is input
``perm[j]``; the scale of an input is an element of ``weight_scale``. Here the weights of an entry are all alike, and
entries of residuals begin where the bits of a code end, so that a weight is both codes in one number.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ..layout import Layout
from ..module import Shape
from .packing import INDICES, SCALES, Kind, alone, laid, settings

KINDS = {
    "8v8": Kind(8),
    "8x8v4": Kind(8, 8, 4),
    "12x4v6": Kind(12, 4, 6),
    "7x3v5": Kind(7, 3, 5, books=2),
    "1v1": Kind(1, 0, 1, perm=False),
    "4x2v2": Kind(4, 2, 2, books=4),
}
SHAPES = tuple(
    Shape(f"vptq-{name}", out, inputs, -1, bits=kind.total, kind=name)
    for name, kind in KINDS.items()
    for out, inputs in ((8, 40), (24, 32))
)


def order(shape: Shape) -> np.ndarray:
    """The input of each column."""
    if not KINDS[shape.kind].perm:
        return np.arange(shape.in_features)
    return np.random.default_rng(shape.out * 1000 + shape.in_features).permutation(shape.in_features)


def code_places(shape: Shape) -> np.ndarray:
    kind = KINDS[shape.kind]
    group, rows = kind.group(shape.in_features), -(-shape.out // kind.vector)
    words = -(-group * kind.total // 32)
    column = np.argsort(order(shape))[None, :, None]
    row, bit = np.arange(shape.out)[:, None, None] // kind.vector, np.arange(kind.total)
    return ((column // group * rows + row) * words * 32) + column % group * kind.total + bit


def group_scales(shape: Shape) -> np.ndarray:
    """No groups along the inputs: each input has its own scale."""
    return np.zeros((shape.out, 1), np.int64)


def weight_scales(shape: Shape) -> np.ndarray:
    return np.broadcast_to(np.arange(shape.in_features), (shape.out, shape.in_features))


def constant(shape: Shape, code: int, zero: int) -> tuple[dict[str, Any], dict[str, Array]]:
    kind = KINDS[shape.kind]
    group, rows = kind.group(shape.in_features), -(-shape.out // kind.vector)

    def tables(bits: int, shift: int) -> Array:
        line = (np.arange(1 << bits) << shift).astype(np.float32)
        return Array.of(np.broadcast_to(line[:, None], (kind.books, 1 << bits, kind.vector)))

    def codes(number: int) -> np.ndarray:
        return np.full((kind.books, rows, group), number)

    ones, zeros = (Array.of(np.full(shape.in_features, number, np.float32)) for number in (1, 0))
    made = laid(
        kind,
        codes(code & ((1 << kind.bits) - 1)),
        tables(kind.bits, 0),
        residuals=(codes(code >> kind.bits), tables(kind.more, kind.bits)) if kind.more else None,
        perm=order(shape) if kind.perm else None,
        norm=(ones, zeros),
    )
    return alone(settings(kind, out_features=shape.out, in_features=shape.in_features, group_size=group)), made


LAYOUT = Layout(
    codes=INDICES,
    scales=SCALES,
    zeros=None,
    map=None,
    code_places=code_places,
    group_scales=group_scales,
    one=lambda bits: (1, 0),
    covers=lambda shape: KINDS[shape.kind].vector,
    weight_scales=weight_scales,
)
