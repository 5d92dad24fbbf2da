"""Where every number of an AWQ gemv_fast module lies, from the sentences that define it and nothing that packs.

A row of ``qweight`` holds four outputs. It is a stream of nibbles, lowest first, in blocks of 256: 64 inputs of the
first output, then of the second, third and fourth. Of 32 inputs, pair ``p`` of each eight goes to the eight nibbles
``p``; there the first inputs of four pairs come before the second ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ..dialects.awq import padded
from ..layout import Layout
from ..module import Shape
from .packing import config, llm_awq

SHAPES = tuple(
    Shape(f"awq_gemv_fast{'-llm-awq' if kind else ''}", *numbers, kind=kind)
    for kind, several in (
        ("", ((8, 64, 32), (16, 64, 64), (8, 128, 128), (64, 64, 32), (4, 64, -1), (8, 256, 128), (12, 192, 64))),
        ("", ((4, 320, 32), (128, 128, -1), (8, 1152, 128), (32, 192, -1))),
        ("llm-awq", ((8, 64, 64), (8, 256, 128), (64, 64, 32))),
    )
    for numbers in several
)


def room(shape: Shape) -> int:
    """Groups that a column has room for."""
    return padded(shape.groups, shape.in_features if shape.group_size == -1 else shape.group_size)


def code_places(shape: Shape) -> np.ndarray:
    """Address [out, in, bits] by the sentences above."""
    o, i, b = np.ogrid[: shape.out, : shape.in_features, : shape.bits]
    eight, pair, second = i % 32 // 8, i % 8 // 2, i % 2
    nibble = i // 64 * 256 + o % 4 * 64 + i % 64 // 32 * 32 + pair * 8 + second * 4 + eight
    return np.asarray(4 * (o // 4 * 4 * shape.in_features + nibble) + b)


def group_scales(shape: Shape) -> np.ndarray:
    """Element ``o`` of row ``g`` of ``scales``, and of the offsets."""
    return np.arange(shape.groups)[None, :] * shape.out + np.arange(shape.out)[:, None]


def constant(shape: Shape, code: int, zero: int) -> tuple[dict[str, Any], dict[str, Array]]:
    # Four equal nibbles, whatever their order.
    word = np.array(code * 0x1111, np.uint16).view(np.int16)
    tensors = {
        "qweight": Array.of(np.full((shape.out // 4, shape.in_features), word, np.int16)),
        "scales": Array.of(np.ones((room(shape), shape.out), np.float16)),
    }
    offsets = Array.of(np.full((room(shape), shape.out), -zero, np.float16))
    if shape.kind:
        return llm_awq(shape.group_size), tensors | {"scaled_zeros": offsets}
    return config(shape.bits, shape.group_size), tensors | {"qzeros": offsets}


LAYOUT = Layout(
    codes="qweight",
    scales="scales",
    zeros=None,
    map=None,
    code_places=code_places,
    group_scales=group_scales,
    room=room,
    # A code of 1 without an offset is its scale.
    one=lambda bits: (1, 0),
    offsets=("qzeros", "scaled_zeros"),
)
