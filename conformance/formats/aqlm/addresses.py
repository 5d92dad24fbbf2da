"""Where every bit of a module of AQLM's lies, from the sentences that define it and nothing that packs.

Code ``c`` of the block in row ``i`` and column ``j`` of blocks is element ``[i, j, c]`` of ``codes``, an int8 of at
most 8 bits and an int16 of more; bits beyond its own mean nothing. The scale of a row of blocks is an element of
``scales``. Here the entries of a block are all alike, and those of the second codebook begin where the bits of the
first one end, so that a weight is all of its codes in one number.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...bits.array import Array
from ..layout import Layout
from ..module import Shape
from .packing import config, laid

# By the kind of a shape: codebooks, bits of a code, and outputs and inputs of a block.
KINDS: dict[str, tuple[int, int, tuple[int, int]]] = {
    "1x8-1x8": (1, 8, (1, 8)),
    "2x8-1x8": (2, 8, (1, 8)),
    "1x16-1x2": (1, 16, (1, 2)),
    "1x12-1x4": (1, 12, (1, 4)),
    "3x4-2x4": (3, 4, (2, 4)),
    "2x8-8x1": (2, 8, (8, 1)),
    "4x1-1x1": (4, 1, (1, 1)),
}
SHAPES = tuple(
    Shape(f"aqlm-{kind}", out, inputs, -1, bits=books * bits, kind=kind)
    for kind, (books, bits, _) in KINDS.items()
    for out, inputs in ((8, 40), (48, 16), (32, 32))
)


def _said(shape: Shape) -> tuple[int, int, tuple[int, int]]:
    return KINDS[shape.kind]


def code_places(shape: Shape) -> np.ndarray:
    books, bits, (rows, columns) = _said(shape)
    word = 8 if bits <= 8 else 16
    o, i, b = np.ogrid[: shape.out, : shape.in_features, : shape.bits]
    element = (o // rows * (shape.in_features // columns) + i // columns) * books + b // bits
    return element * word + b % bits


def group_scales(shape: Shape) -> np.ndarray:
    """Element ``i`` of row ``i`` of blocks."""
    return (np.arange(shape.out) // _said(shape)[2][0])[:, None]


def constant(shape: Shape, code: int, zero: int) -> tuple[dict[str, Any], dict[str, Array]]:
    books, bits, block = _said(shape)
    blocks = shape.out // block[0], shape.in_features // block[1]
    own = (code >> bits * np.arange(books)) & ((1 << bits) - 1)
    weights = np.arange(1 << bits) << (bits * np.arange(books))[:, None]
    tables = np.broadcast_to(weights[:, :, None, None], (books, 1 << bits, *block))
    scales = Array.of(np.ones(blocks[0], np.float32))
    made = laid(np.broadcast_to(own, (*blocks, books)), Array.of(tables.astype(np.float32)), scales, bits)
    return config(bits, books=books, block=block), made


LAYOUT = Layout(
    codes="codes",
    scales="scales",
    zeros=None,
    map=None,
    code_places=code_places,
    group_scales=group_scales,
    one=lambda bits: (1, 0),
    covers=lambda shape: math.prod(_said(shape)[2]),
)
