"""Where every bit of an AWQ gemm module lies, from the sentences that define the format and from nothing that packs."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.fields import words
from ..layout import Layout
from ..module import Shape
from .packing import NIBBLE_OF_COLUMN, WIDTHS, config, interleaves

SHAPES = (
    # One group, one word; square; out = 8 * groups, so that qzeros is square; wide; tall.
    *(Shape("awq", *numbers) for numbers in ((8, 32, 32), (32, 32, 32), (64, 64, 32), (64, 256, 32), (32, 128, 32))),
    # qweight square; -1, also where it equals one group; in no multiple of 32; a size that is no power of two.
    *(Shape("awq", *numbers) for numbers in ((256, 32, 32), (24, 96, -1), (128, 128, 128), (40, 40, 8), (16, 72, 24))),
    *(Shape("awq", *numbers) for numbers in ((136, 64, 64), (8, 512, 128), (16, 64, 32), (32, 32, 8), (8, 40, -1))),
    *(
        Shape(f"awq-{bits}bit", *numbers, bits=bits)
        for bits in WIDTHS[1:]
        for numbers in ((32, 32, 32), (64, 64, 32), (32, 128, 64), (96, 40, -1))
    ),
)


def _nibbles(row: np.ndarray, shape: Shape) -> np.ndarray:
    """Address [out, ..., bits] of the field of each output in the row of words with the number ``row`` [1, ...]."""
    o, bits = np.arange(shape.out)[:, None], shape.bits
    field = o // 8 * 8 + np.array(NIBBLE_OF_COLUMN)[o % 8] if interleaves(config(bits, 32)) else o
    at = (bits * field)[..., None] + np.arange(bits)
    return (row[..., None] * -(-shape.out * bits // 32) + at // 32) * 32 + at % 32


def code_places(shape: Shape) -> np.ndarray:
    """Row ``i`` of ``qweight``, a stream of fields: that of output ``o``, in its place among eight if interleaved."""
    return _nibbles(np.arange(shape.in_features)[None, :], shape)


def zero_places(shape: Shape) -> np.ndarray:
    """The same of row ``g`` of ``qzeros``."""
    return _nibbles(shape.group_index()[None, :], shape)


def group_scales(shape: Shape) -> np.ndarray:
    """Element ``o`` of row ``g`` of ``scales``."""
    return np.arange(shape.groups)[None, :] * shape.out + np.arange(shape.out)[:, None]


def constant(shape: Shape, code: int, zero: int) -> tuple[dict[str, Any], dict[str, Array]]:
    tensors = {
        "qweight": Array.of(words(np.full((shape.in_features, shape.out), code), shape.bits)),
        "qzeros": Array.of(words(np.full((shape.groups, shape.out), zero), shape.bits)),
        "scales": Array.of(np.ones((shape.groups, shape.out), np.float16)),
    }
    return config(shape.bits, shape.group_size), tensors


LAYOUT = Layout(
    codes="qweight",
    scales="scales",
    zeros="qzeros",
    map=None,
    code_places=code_places,
    group_scales=group_scales,
    zero_places=zero_places,
)
