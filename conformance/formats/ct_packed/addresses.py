"""Where every bit of a ``pack-quantized`` module lies, from the sentences that define it and nothing that packs."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ..dialects import compressed_tensors as dialect
from ..layout import Layout
from ..module import Shape
from .packing import FORMAT, WIDTHS, pack

OLD = "0.17.1"
SHAPES = (
    *(
        Shape("ct_packed", *n)
        for n in ((8, 32, 32), (32, 32, 32), (64, 64, 32), (16, 128, 32), (24, 96, -1), (40, 72, 24))
    ),
    *(Shape("ct_packed", *n) for n in ((8, 256, 32), (16, 40, 8), (40, 36, -1), (5, 64, 32))),
    *(Shape("ct_packed-sym", *n, kind="symmetric") for n in ((16, 64, 32), (24, 96, -1), (40, 40, 8))),
    *(
        Shape("ct_packed-old", *n, map=map, kind="old")
        for n in ((16, 64, 32), (40, 40, 8))
        for map in ("sequential", "act-order", "arbitrary")
    ),
    *(
        Shape(f"ct_packed-{bits}bit", *n, bits=bits)
        for bits in WIDTHS[1:]
        for n in ((16, 64, 32), (32, 32, 32), (24, 96, -1), (40, 40, 8))
    ),
    # Padded words, with and without a number of words that a stream has as well.
    *(
        Shape(f"ct_packed-{bits}bit-old", *n, bits=bits, map=map, kind="old")
        for bits in (3, 5, 6, 7)
        for n, map in (((16, 64, 32), "absent"), ((40, 72, -1), "absent"), ((16, 64, 32), "act-order"))
    ),
)


def _words(count: int, shape: Shape) -> int:
    """Words that so many fields take."""
    return -(-count // (32 // shape.bits)) if shape.kind == "old" else -(-count * shape.bits // 32)


def _place(field: np.ndarray, bit: np.ndarray, shape: Shape) -> np.ndarray:
    """Place of a bit of a field in a row of words: fields in a row, or as many whole ones a word as fit."""
    each = 32 // shape.bits
    start = field // each * 32 + field % each * shape.bits if shape.kind == "old" else field * shape.bits
    return np.asarray(start + bit)


def code_places(shape: Shape) -> np.ndarray:
    """Bit ``b`` of code ``i`` of output ``o`` is in row ``o`` of ``weight_packed``, field ``i``."""
    o, i, b = np.ogrid[: shape.out, : shape.in_features, : shape.bits]
    return o * _words(shape.in_features, shape) * 32 + _place(i, b, shape)


def zero_places(shape: Shape) -> np.ndarray:
    """Bit ``b`` of the zero point of output ``o`` in group ``g`` is in column ``g`` of its tensor, field ``o``."""
    o, b = np.ogrid[: shape.out, : shape.bits]
    at, g = _place(o, b, shape), shape.group_index()[None, :, None]
    return ((at // 32)[:, None, :] * shape.groups + g) * 32 + (at % 32)[:, None, :]


def group_scales(shape: Shape) -> np.ndarray:
    """Element ``g`` of row ``o`` of ``weight_scale``."""
    return np.arange(shape.out)[:, None] * shape.groups + np.arange(shape.groups)[None, :]


def constant(shape: Shape, code: int, zero: int) -> tuple[dict[str, Any], dict[str, Array]]:
    symmetric, old = shape.kind == "symmetric", shape.kind == "old"
    changes: dict[str, Any] = {"symmetric": symmetric} | ({} if shape.ordered else {"actorder": "group"})
    settings = dialect.config(FORMAT, shape.bits, shape.group_size, release=OLD if old else "", **changes)
    scales = Array.of(np.ones((shape.groups, shape.out), np.float16))
    codes, zeros = np.full((shape.out, shape.in_features), code), np.full((shape.groups, shape.out), zero)
    g_idx = None if shape.map == "absent" else shape.group_index()
    return settings, pack(codes, zeros, scales, g_idx, bits=shape.bits, padded=old, symmetric=symmetric)


LAYOUT = Layout(
    codes="weight_packed",
    scales="weight_scale",
    zeros="weight_zero_point",
    map="weight_g_idx",
    code_places=code_places,
    group_scales=group_scales,
    zero_places=zero_places,
)
