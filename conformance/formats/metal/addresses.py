"""Where every number of a metal module lies: codes of a row as a stream of bits, lowest first, and floats in rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ..layout import Layout
from ..module import Shape
from .packing import config

SHAPES = tuple(
    Shape(f"metal-{bits}bit", out, inputs, group, bits=bits)
    for bits, out, inputs, group in (
        *((bits, 8, 64, 32) for bits in (4, 2, 8)),
        *((bits, 5, 48, 16) for bits in (4, 2, 8)),
        (4, 16, 128, 64),
        (4, 8, 128, 128),
        (4, 32, 32, 32),
        (2, 4, 256, 64),
        (8, 3, 20, 4),
        (4, 1, 8, 8),
        (4, 64, 128, 32),
    )
)


def code_places(shape: Shape) -> np.ndarray:
    """Address [out, in, bits]."""
    o, i, b = np.ogrid[: shape.out, : shape.in_features, : shape.bits]
    return np.asarray((o * shape.in_features + i) * shape.bits + b)


def group_scales(shape: Shape) -> np.ndarray:
    """Element ``g`` of row ``o``."""
    return np.arange(shape.out)[:, None] * shape.groups + np.arange(shape.groups)[None, :]


def constant(shape: Shape, code: int, zero: int) -> tuple[dict[str, Any], dict[str, Array]]:
    word = sum(code << place for place in range(0, 32, shape.bits))
    floats = (shape.out, shape.groups)
    return config(shape.bits, shape.group_size), {
        "weight": Array.of(np.full((shape.out, shape.in_features * shape.bits // 32), word, np.uint32)),
        "scales": Array.of(np.ones(floats, np.float16)),
        "qbiases": Array.of(np.full(floats, -zero, np.float16)),
    }


LAYOUT = Layout(
    codes="weight",
    scales="scales",
    zeros=None,
    map=None,
    code_places=code_places,
    group_scales=group_scales,
    # A code of 1 without an offset is its scale.
    one=lambda bits: (1, 0),
    offsets=("qbiases",),
)
