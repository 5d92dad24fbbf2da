"""Where every bit of a module in narrow words lies, from the sentences that define it and from nothing that packs.

They are proven on version 2: version 1 stores sums over words, in which a bit is no copy of another.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ..layout import Layout
from ..module import Shape
from .packing import WIDTHS, WORDS, config

MAPS = ("absent", "sequential", "act-order", "arbitrary")


def _shapes() -> Iterator[Shape]:
    for word in WORDS:
        for bits in WIDTHS:
            label = f"gptq_narrow-{word}" if bits == WIDTHS[0] else f"gptq_narrow-{word}-{bits}bit"
            for kind in MAPS:
                yield Shape(label, 32, 32, 16, map=kind, bits=bits, kind=word)
            yield Shape(label, 16, 64, 32, map="absent", bits=bits, kind=word)
            # Neither inputs nor outputs fill 32 bits, nor mostly their last word.
            yield Shape(label, 21, 41, -1, map="sequential", bits=bits, kind=word)


SHAPES = tuple(_shapes())


def code_places(shape: Shape) -> np.ndarray:
    """Bit ``b`` of code ``i`` of output ``o`` is bit ``bits * i + b`` of the column ``qweight[:, o]``, lowest first."""
    o, i, b = np.ogrid[: shape.out, : shape.in_features, : shape.bits]
    word = WORDS[shape.kind]
    at = shape.bits * i + b
    return np.asarray(((at // word) * shape.out + o) * word + at % word)


def zero_places(shape: Shape) -> np.ndarray:
    """Bit ``b`` of the zero point of output ``o`` in group ``g`` is bit ``bits * o + b`` of the row ``qzeros[g]``."""
    o, b = np.ogrid[: shape.out, : shape.bits]
    word = WORDS[shape.kind]
    at, columns = shape.bits * o + b, -(-shape.out * shape.bits // word)
    g = shape.group_index()[None, :, None]
    return np.asarray((g * columns + (at // word)[:, None, :]) * word + (at % word)[:, None, :])


def group_scales(shape: Shape) -> np.ndarray:
    """Element ``o`` of row ``g`` of ``scales``."""
    return np.arange(shape.groups)[None, :] * shape.out + np.arange(shape.out)[:, None]


def constant(shape: Shape, code: int, zero: int) -> tuple[dict[str, Any], dict[str, Array]]:
    own = {"checkpoint_format": "gptq_v2", "desc_act": not shape.ordered}
    settings = config(shape.bits, shape.group_size, shape.kind) | own
    rows, columns = (-(-count * shape.bits // WORDS[shape.kind]) for count in (shape.in_features, shape.out))
    tensors = {
        "qweight": _alike(shape, (rows, shape.out), code),
        "qzeros": _alike(shape, (shape.groups, columns), zero),
        "scales": Array.of(np.ones((shape.groups, shape.out), np.float16)),
    }
    if shape.map != "absent":
        tensors["g_idx"] = Array.of(shape.group_index().astype(np.int32))
    return settings, tensors


def _alike(shape: Shape, matrix: tuple[int, int], field: int) -> Array:
    """Words whose fields are all the same."""
    word = sum(field << place for place in range(0, WORDS[shape.kind], shape.bits))
    return Array.of(np.full(matrix, word, f"u{shape.kind}").view(shape.kind))


LAYOUT = Layout(
    codes="qweight",
    scales="scales",
    zeros="qzeros",
    map="g_idx",
    code_places=code_places,
    group_scales=group_scales,
    zero_places=zero_places,
)
