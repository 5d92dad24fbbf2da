"""Where every bit of a module of BitNet lies, from the sentences that define it and nothing that packs.

The bits of both layers lie alike; what a scale of 2 makes of a weight is shown with the one that multiplies.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ..layout import Layout
from ..module import Shape
from .packing import CODES, MULTIPLIED, SCALE, described

SHAPES = tuple(
    Shape("bitnet", out, inputs, -1, bits=2)
    for out, inputs in ((8, 8), (24, 40), (40, 24), (16, 33), (4, 64), (64, 1), (48, 96))
)


def code_places(shape: Shape) -> np.ndarray:
    """Bit ``b`` of code ``i`` of output ``o`` is in byte ``i`` of row ``o mod (out / 4)``, at twice the number of the
    quarter that ``o`` is in, and ``b``."""
    o, i, b = np.ogrid[: shape.out, : shape.in_features, :2]
    quarter, row = np.divmod(o, shape.out // 4)
    return (row * shape.in_features + i) * 8 + quarter * 2 + b


def group_scales(shape: Shape) -> np.ndarray:
    """The one element, of every output."""
    return np.zeros((shape.out, 1), np.int64)


def one(bits: int) -> tuple[int, int]:
    """The zero point is 1, always."""
    return 2, 1


def constant(shape: Shape, code: int, zero: int) -> tuple[dict[str, Any], dict[str, Array]]:
    """All four codes of a byte alike."""
    octets = np.full((shape.out // 4, shape.in_features), code * 0b01010101, np.uint8)
    return described(MULTIPLIED), {CODES: Array.of(octets), SCALE: Array.of(np.ones(1, np.float16))}


LAYOUT = Layout(
    codes=CODES,
    scales=SCALE,
    zeros=None,
    map=None,
    code_places=code_places,
    group_scales=group_scales,
    one=one,
)
