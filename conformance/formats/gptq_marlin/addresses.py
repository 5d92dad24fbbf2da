"""Where every number of a Marlin module lies, from the sentences that define the tiles and from nothing that packs.

A row of words holds 16 inputs. It is a stream of nibbles, lowest first, 1024 of them for each 64 outputs: 32 lanes of
four outputs times eight. Of each 16 outputs, lane ``4 * (n % 8) + k % 8 // 2`` has output ``n`` and input ``k``; there
even inputs come before odd ones, outputs below 8 before those above, inputs below 8 before those above. A grouped row
of scales is transposed by 8 x 8 in each 64; a row that is alone has pairs of neighbours, of each 32 the first pair of
each eight, then the second, third and fourth.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.fields import repeated
from ..layout import Layout
from ..module import Shape
from .packing import config

SHAPES = tuple(
    Shape("gptq_marlin", *numbers)
    for numbers in (
        (64, 16, -1),
        (64, 32, 16),
        (64, 64, 32),
        (128, 32, -1),
        (128, 96, 32),
        (192, 48, 16),
        (64, 256, 128),
    )
)


def code_places(shape: Shape) -> np.ndarray:
    """Address [out, in, bits] by the sentences above."""
    o, i, b = np.ogrid[: shape.out, : shape.in_features, : shape.bits]
    n, k = o % 16, i % 16
    lane = 4 * (n % 8) + k % 8 // 2
    nibble = lane * 32 + o % 64 // 16 * 8 + k % 2 * 4 + n // 8 * 2 + k // 8
    return np.asarray(4 * (i // 16 * 16 * shape.out + o // 64 * 1024 + nibble) + b)


def group_scales(shape: Shape) -> np.ndarray:
    """Address [out, groups] of the scale of each output in each group."""
    o, g = np.arange(shape.out)[:, None], np.arange(shape.groups)[None]
    if shape.groups == 1:
        return o // 32 * 32 + o % 8 // 2 * 8 + o % 32 // 8 * 2 + o % 2
    return g * shape.out + o // 64 * 64 + o % 8 * 8 + o % 64 // 8


def constant(shape: Shape, code: int, zero: int) -> tuple[dict[str, Any], dict[str, Array]]:
    """Whatever the zero point, it is 8."""
    tensors = {
        "B": Array.of(np.full((shape.in_features // 16, 2 * shape.out), repeated(code, 4), np.uint32).view(np.int32)),
        "s": Array.of(np.ones((shape.groups, shape.out), np.float16)),
    }
    return config(shape.bits, shape.group_size), tensors


LAYOUT = Layout(codes="B", scales="s", zeros=None, map=None, code_places=code_places, group_scales=group_scales)
