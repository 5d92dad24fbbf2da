"""Where every bit of an MXFP4 module lies, from the sentences that define the format and from nothing that packs.

Codes are four bits, one after the other in row order of [experts, out, in], whatever axes their bytes have: weight
``n`` is in the bits ``4 * n`` and up. Scales are bytes in row order of [experts, out, in / 32].
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.floats import E2M1
from ..layout import Layout
from ..module import Shape
from .packing import GPT_OSS, blocks

SHAPES = tuple(
    Shape(f"mxfp4-{label}", out, inputs, 32, kind=label, experts=experts)
    for label, out, inputs, experts in (
        # One group, several, wide, tall, one output; then stacks: of one, square, of more experts than outputs.
        ("matrix", 8, 32, 0),
        ("matrix", 24, 96, 0),
        ("matrix", 4, 320, 0),
        ("matrix", 72, 64, 0),
        ("matrix", 1, 64, 0),
        ("experts-1", 16, 64, 1),
        ("experts-2", 64, 32, 2),
        ("experts-5", 15, 64, 5),
        ("experts-4", 96, 96, 4),
    )
)


def code_places(shape: Shape) -> np.ndarray:
    return np.arange(shape.out * shape.in_features).reshape(shape.out, -1, 1) * 4 + np.arange(4)


def group_scales(shape: Shape) -> np.ndarray:
    return np.arange(shape.out * shape.groups).reshape(shape.out, shape.groups)


def constant(shape: Shape, code: int, zero: int) -> tuple[dict[str, Any], dict[str, Array]]:
    scales = np.full((*shape.dense[:-1], shape.groups), 127)
    return dict(GPT_OSS), blocks(np.full(shape.dense, code), scales)


def read_codes(weights: np.ndarray, zero: int, bits: int) -> np.ndarray:
    """The code of each value; zeros differ in their sign."""
    found = np.full(weights.shape, -1)
    for code, value in enumerate(E2M1):
        found[(weights == value) & (np.signbit(weights) == (code >= 8))] = code
    return found


def scales_of(bits: np.ndarray, like: Array) -> Array:
    return Array(like.dtype, (127 + bits).astype(np.uint8).reshape(like.shape))


LAYOUT = Layout(
    codes="_blocks",
    scales="_scales",
    zeros=None,
    map=None,
    code_places=code_places,
    group_scales=group_scales,
    read_codes=read_codes,
    one=lambda bits: (2, 0),
    scales_of=scales_of,
)
