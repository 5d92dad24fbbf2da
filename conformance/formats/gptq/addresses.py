"""Where every bit of a GPTQ module lies, from the sentences that define the format and from nothing that packs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.fields import words
from ..layout import Layout
from ..module import Shape
from .packing import WIDTHS, config

MAPS = ("absent", "sequential", "act-order", "arbitrary")
_USUAL = (
    *((8, 32, 32), (16, 64, 32), (32, 32, 8), (64, 64, 32), (64, 256, 32)),
    *((16, 128, 32), (32, 128, 32), (24, 96, -1), (8, 40, -1)),
)


def _widths() -> Iterator[Shape]:
    """Enough of every other width: fields at all places of a word, and over the ends of words."""
    for bits in WIDTHS[1:]:
        for numbers in ((32, 32, 32), (32, 64, 32), (16, 128, 32), (64, 96, -1)):
            for kind in MAPS:
                yield Shape(f"gptq-{bits}bit", *numbers, map=kind, bits=bits)
        # Inputs that do not fill the last word: only g_idx knows their number.
        for numbers in ((16, 80, 32), (24, 40, -1), (40, 37, -1), (8, 20, 8)):
            yield Shape(f"gptq-{bits}bit", *numbers, map="act-order", bits=bits)


SHAPES = (
    *(Shape("gptq", *numbers, map=kind) for kind in MAPS for numbers in _USUAL),
    *(Shape("gptq", *numbers, map="act-order") for numbers in ((128, 128, 64), (40, 40, 8), (136, 64, 16))),
    # A short last group, and inputs that do not fill the last word: only g_idx knows their number.
    *(Shape("gptq", *numbers, map=kind) for kind in MAPS[1:] for numbers in ((16, 80, 32), (16, 20, 8), (8, 37, -1))),
    *_widths(),
)


def code_places(shape: Shape) -> np.ndarray:
    """Bit ``b`` of code ``i`` of output ``o`` is bit ``bits * i + b`` of the column ``qweight[:, o]``, lowest first."""
    o, i, b = np.ogrid[: shape.out, : shape.in_features, : shape.bits]
    at = shape.bits * i + b
    return ((at // 32) * shape.out + o) * 32 + at % 32


def zero_places(shape: Shape) -> np.ndarray:
    """Bit ``b`` of the zero point of output ``o`` in group ``g`` is bit ``bits * o + b`` of the row ``qzeros[g]``."""
    o, b = np.ogrid[: shape.out, : shape.bits]
    at, columns = shape.bits * o + b, -(-shape.out * shape.bits // 32)
    g = shape.group_index()[None, :, None]
    return (g * columns + (at // 32)[:, None, :]) * 32 + (at % 32)[:, None, :]


def group_scales(shape: Shape) -> np.ndarray:
    """Element ``o`` of row ``g`` of ``scales``."""
    return np.arange(shape.groups)[None, :] * shape.out + np.arange(shape.out)[:, None]


def stored(zeros: np.ndarray, bits: int) -> np.ndarray:
    """One less, modulo ``2**bits``. Whether a field of all ones is 0 is a matter of policy, not of layout."""
    return (zeros - 1) % (1 << bits)


def constant(shape: Shape, code: int, zero: int) -> tuple[dict[str, Any], dict[str, Array]]:
    settings = config(shape.bits, shape.group_size) | {"desc_act": not shape.ordered}
    field = int(stored(np.array(zero), shape.bits))
    tensors = {
        "qweight": Array.of(np.ascontiguousarray(words(np.full((shape.out, shape.in_features), code), shape.bits).T)),
        "qzeros": Array.of(words(np.full((shape.groups, shape.out), field), shape.bits)),
        "scales": Array.of(np.ones((shape.groups, shape.out), np.float16)),
    }
    if shape.map != "absent":
        tensors["g_idx"] = Array.of(shape.group_index().astype(np.int32))
    return settings, tensors


LAYOUT = Layout(
    codes="qweight",
    scales="scales",
    zeros="qzeros",
    map="g_idx",
    code_places=code_places,
    group_scales=group_scales,
    zero_places=zero_places,
    stored_zero=stored,
)
