"""Where every bit of a planar GPTQ module lies, from the sentences that define the format and from nothing that packs.

A run of fields is dealt in blocks of 32. Bit ``b`` of a field belongs to a plane, and the planes of a block follow one
another: one of ``w`` bits has ``w`` words, in which field after field takes ``w`` bits, the lowest first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ..layout import Layout
from ..module import Shape
from .packing import BLOCKS, PLANES, WIDTHS, config

MAPS = ("absent", "sequential", "act-order", "arbitrary")


def _shapes() -> Iterator[Shape]:
    for bits in WIDTHS:
        label = "gptq_planar" if bits == WIDTHS[0] else f"gptq_planar-{bits}bit"
        for kind in MAPS if bits in BLOCKS else MAPS[::2]:
            yield Shape(label, 32, 32, 16, map=kind, bits=bits)
        if bits in BLOCKS:
            yield Shape(label, 32, 64, 32, map="act-order", bits=bits)
            yield Shape(label, 64, 96, -1, map="absent", bits=bits)
        else:
            # Neither inputs nor outputs fill their last word.
            yield Shape(label, 24, 40, -1, map="sequential", bits=bits)


SHAPES = tuple(_shapes())


def within(number: np.ndarray, bit: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """The word of a run, and the place in it, of one bit of a field by its number."""
    first, word, place = 0, np.zeros_like(number + bit), np.zeros_like(number + bit)
    for width in PLANES[bits]:
        inside = (bit >= first) & (bit < first + width)
        at = number % 32 * width + bit - first
        word = np.where(inside, number // 32 * bits + first + at // 32, word)
        place = np.where(inside, at % 32, place)
        first += width
    return word, place


def code_places(shape: Shape) -> np.ndarray:
    """Code ``i`` of output ``o`` is field ``i`` of the column ``qweight[:, o]``."""
    o, i, b = np.ogrid[: shape.out, : shape.in_features, : shape.bits]
    word, place = within(i, b, shape.bits)
    return np.asarray((word * shape.out + o) * 32 + place)


def zero_places(shape: Shape) -> np.ndarray:
    """The zero point of output ``o`` in group ``g`` is field ``o`` of the row ``qzeros[g]``."""
    o, b = np.ogrid[: shape.out, : shape.bits]
    columns = -(-shape.out * shape.bits // 32)
    word, place = within(o, b, shape.bits)
    g = shape.group_index()[None, :, None]
    return np.asarray((g * columns + word[:, None, :]) * 32 + place[:, None, :])


def group_scales(shape: Shape) -> np.ndarray:
    """Element ``o`` of row ``g`` of ``scales``."""
    return np.arange(shape.groups)[None, :] * shape.out + np.arange(shape.out)[:, None]


def constant(shape: Shape, code: int, zero: int) -> tuple[dict[str, Any], dict[str, Array]]:
    settings = config(shape.bits, shape.group_size) | {"desc_act": not shape.ordered}
    tensors = {
        "qweight": Array.of(np.ascontiguousarray(_alike(shape.out, shape.in_features, code, shape.bits).T)),
        "qzeros": Array.of(_alike(shape.groups, shape.out, zero, shape.bits)),
        "scales": Array.of(np.ones((shape.groups, shape.out), np.float16)),
    }
    if shape.map != "absent":
        tensors["g_idx"] = Array.of(shape.group_index().astype(np.int32))
    return settings, tensors


def _alike(rows: int, count: int, field: int, bits: int) -> np.ndarray:
    """Rows of words of ``count`` equal fields, by the places of their bits."""
    words = np.zeros(-(-count * bits // 32), np.uint32)
    for bit in range(bits):
        if field >> bit & 1:
            word, place = within(np.arange(count), np.array(bit), bits)
            np.bitwise_or.at(words, word, np.uint32(1) << place.astype(np.uint32))
    return np.tile(words, (rows, 1)).view(np.int32)


LAYOUT = Layout(
    codes="qweight",
    scales="scales",
    zeros="qzeros",
    map="g_idx",
    code_places=code_places,
    group_scales=group_scales,
    zero_places=zero_places,
)
