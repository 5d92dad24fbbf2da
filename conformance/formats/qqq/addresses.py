"""Where every number of a QQQ module lies, from the sentences that define the tiles and from nothing that packs.

A row of words holds 16 inputs. It is a stream of nibbles, lowest first, 1024 of them for each 64 outputs: 32 lanes of
four tiles of 16 outputs times eight. Lane ``4 * (n % 8) + k // 4`` of a tile has output ``n`` and input ``k``. With
groups, even inputs of the four come before odd ones, outputs below 8 before those above, and the first pair before the
second; without, inputs follow one another, and outputs above before those below. A row of scales of outputs has pairs
of neighbours, of each 32 the first pair of each eight, then the second, third and fourth. Layouts are proven with
groups: a nibble without has a sign, and is no code as it is. That order, and scales of groups, are held by upstream's
vectors and the grid.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.fields import repeated
from ..layout import Layout
from ..module import Shape
from .packing import config

_NUMBERS = ((64, 16, 8), (64, 32, 16), (64, 64, 32), (128, 32, 16), (128, 96, 32), (192, 48, 16), (64, 256, 128))
SHAPES = tuple(Shape("qqq", *numbers) for numbers in _NUMBERS)


def code_places(shape: Shape) -> np.ndarray:
    """Address [out, in, bits] by the sentences above."""
    o, i, b = np.ogrid[: shape.out, : shape.in_features, : shape.bits]
    n, k = o % 16, i % 16
    lane = 4 * (n % 8) + k // 4
    within = k % 2 * 4 + n // 8 * 2 + k % 4 // 2 if shape.groups > 1 else k % 4 * 2 + 1 - n // 8
    nibble = lane * 32 + o % 64 // 16 * 8 + within
    return np.asarray(4 * (i // 16 * 16 * shape.out + o // 64 * 1024 + nibble) + b)


def group_scales(shape: Shape) -> np.ndarray:
    """Address [out, groups] of the scale of each output, which is that of every group."""
    o = np.arange(shape.out)[:, None]
    found = o // 32 * 32 + o % 8 // 2 * 8 + o % 32 // 8 * 2 + o % 2
    return np.asarray(np.broadcast_to(found, (shape.out, shape.groups)))


def constant(shape: Shape, code: int, zero: int) -> tuple[dict[str, Any], dict[str, Array]]:
    """Scales that make integers of 8 bits those that a code stands for; the zero point is 8."""
    grouped = shape.groups > 1
    word = repeated(code if grouped else code ^ 8, 4)
    tensors = {
        "B": Array.of(np.full((shape.in_features // 16, 2 * shape.out), word, np.uint32).view(np.int32)),
        "s_channel": Array.of(np.full((1, shape.out), 1 if grouped else 1 / 16, np.float32)),
        "s_group": Array.of(np.ones((shape.groups, shape.out) if grouped else 0, np.float16)),
    }
    return config(shape.bits, shape.group_size), tensors


def scales_of(bits: np.ndarray, like: Array) -> Array:
    """Once and twice what they are."""
    return Array.of((like.float64().reshape(-1) * (1 + bits)).astype(np.float32).reshape(like.shape))


LAYOUT = Layout(
    codes="B",
    scales="s_channel",
    zeros=None,
    map=None,
    code_places=code_places,
    group_scales=group_scales,
    scales_of=scales_of,
)
