"""Where every bit of an NVFP4 module lies, from the sentences that define the format and from nothing that packs.

Codes are four bits, one after the other in row order of [experts, out, in]: weight ``n`` is in the bits ``4 * n`` and
up. Scales are bytes in row order of [experts, out, in / 16].
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.floats import E2M1
from ..layout import Layout
from ..module import Shape
from .packing import compressed, named

SHAPES = tuple(
    Shape(f"nvfp4-{label}", out, inputs, 16, kind=label, experts=experts)
    for label, out, inputs, experts in (
        # One group, several, wide, tall, one output; then stacks: of one, square, of more experts than outputs.
        ("matrix", 8, 16, 0),
        ("matrix", 24, 80, 0),
        ("matrix", 4, 320, 0),
        ("matrix", 72, 32, 0),
        ("matrix", 1, 64, 0),
        ("experts-1", 16, 48, 1),
        ("experts-2", 64, 32, 2),
        ("experts-5", 15, 48, 5),
    )
)


def code_places(shape: Shape) -> np.ndarray:
    return np.arange(shape.out * shape.in_features).reshape(shape.out, -1, 1) * 4 + np.arange(4)


def group_scales(shape: Shape) -> np.ndarray:
    return np.arange(shape.out * shape.groups).reshape(shape.out, shape.groups)


def constant(shape: Shape, code: int, zero: int) -> tuple[dict[str, Any], dict[str, Array]]:
    scales = np.full((*shape.dense[:-1], shape.groups), 0x38)
    return compressed(), named(compressed(), np.full(shape.dense, code), scales, np.ones(1))


def read_codes(weights: np.ndarray, zero: int, bits: int) -> np.ndarray:
    """The code of each value; zeros differ in their sign."""
    found = np.full(weights.shape, -1)
    for code, value in enumerate(E2M1):
        found[(weights == value) & (np.signbit(weights) == (code >= 8))] = code
    return found


def scales_of(bits: np.ndarray, like: Array) -> Array:
    return Array(like.dtype, np.where(bits, 0x40, 0x38).astype(np.uint8).reshape(like.shape))


LAYOUT = Layout(
    codes="weight_packed",
    scales="weight_scale",
    zeros=None,
    map=None,
    code_places=code_places,
    group_scales=group_scales,
    read_codes=read_codes,
    one=lambda bits: (2, 0),
    scales_of=scales_of,
)
