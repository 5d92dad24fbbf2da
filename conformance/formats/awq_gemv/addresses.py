"""Where every bit of an AWQ gemv module lies, from the sentences that define the format and from nothing that packs."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.fields import words
from ..dialects.awq import padded
from ..layout import Layout
from ..module import Shape
from .packing import config

# Padded and not; square; one group of either kind; more groups than a word holds; tall, wide, no power of two.
SHAPES = tuple(
    Shape("awq_gemv", *numbers)
    for numbers in (
        (8, 32, 32),
        (32, 32, 32),
        (16, 64, 32),
        (40, 64, 64),
        (64, 128, 64),
        (16, 128, 128),
        (8, 256, 128),
        (8, 64, -1),
        (8, 136, -1),
        (24, 160, 32),
        (8, 288, 32),
        (8, 1152, 128),
        (128, 32, -1),
    )
)


def room(shape: Shape) -> int:
    """Groups that a row has room for."""
    return padded(shape.groups, shape.in_features if shape.group_size == -1 else shape.group_size)


def code_places(shape: Shape) -> np.ndarray:
    """Bit ``b`` of code ``i`` of output ``o`` is bit ``4 * i + b`` of row ``o`` of ``qweight``."""
    o, i, b = np.ogrid[: shape.out, : shape.in_features, : shape.bits]
    return np.asarray(o * 4 * shape.in_features + 4 * i + b)


def zero_places(shape: Shape) -> np.ndarray:
    """Bit ``b`` of the zero point of output ``o`` in group ``g`` is bit ``4 * g + b`` of row ``o`` of ``qzeros``."""
    o, b = np.arange(shape.out)[:, None, None], np.arange(shape.bits)
    return o * 4 * room(shape) + 4 * shape.group_index()[None, :, None] + b


def group_scales(shape: Shape) -> np.ndarray:
    """Element ``g`` of row ``o`` of ``scales``."""
    return np.arange(shape.out)[:, None] * room(shape) + np.arange(shape.groups)[None, :]


def constant(shape: Shape, code: int, zero: int) -> tuple[dict[str, Any], dict[str, Array]]:
    tensors = {
        "qweight": Array.of(words(np.full((shape.out, shape.in_features), code), shape.bits)),
        "qzeros": Array.of(words(np.full((shape.out, room(shape)), zero), shape.bits)),
        "scales": Array.of(np.ones((shape.out, room(shape)), np.float16)),
    }
    return config(shape.bits, shape.group_size), tensors


LAYOUT = Layout(
    codes="qweight",
    scales="scales",
    zeros="qzeros",
    map=None,
    code_places=code_places,
    group_scales=group_scales,
    room=room,
    zero_places=zero_places,
)
