"""Where every bit of a 4-bit module of bitsandbytes lies, from the sentences that define the format.

Weight ``n = o * in + i`` of the matrix flattened by rows is a half of byte ``n // 2`` of ``weight``: the high one where
``n`` is even. Its scale is element ``n // block`` of ``weight.absmax``, whatever rows that crosses.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ..dialects import bitsandbytes as dialect
from ..layout import Layout, ones_and_twos
from ..module import Shape
from .packing import VALUES, pack

# By the kind of a shape: block, dtype under which codes are stored, whether scales are packed too.
KINDS: dict[str, tuple[int, str, bool]] = {
    "b32": (32, "uint8", False),
    "b64": (64, "uint8", False),
    "b256": (256, "uint8", False),
    "b32-bfloat16": (32, "bfloat16", False),
    "b64-float32": (64, "float32", False),
    "b32-double": (32, "uint8", True),
}
SHAPES = tuple(
    Shape(f"bnb-{kind}", out, inputs, -1, kind=kind)
    for kind, out, inputs in (
        # Whole blocks in a row, several rows a block, blocks across the ends of rows, and the last block not full.
        ("b32", 8, 64),
        ("b32", 32, 32),
        ("b64", 16, 32),
        ("b64", 12, 48),
        ("b32", 10, 72),
        ("b256", 10, 72),
        # Rows of odd length, and an odd number of weights.
        ("b32", 6, 33),
        ("b64", 31, 33),
        ("b32-bfloat16", 16, 40),
        ("b64-float32", 24, 40),
        ("b32-double", 16, 48),
        ("b32-double", 9, 35),
        ("b64", 64, 64),
    )
)
ONE = 15


def _numbers(shape: Shape) -> np.ndarray:
    return np.arange(shape.out)[:, None] * shape.in_features + np.arange(shape.in_features)[None, :]


def code_places(shape: Shape) -> np.ndarray:
    number = _numbers(shape)
    return (number // 2 * 8 + np.where(number % 2 == 0, 4, 0))[..., None] + np.arange(4)


def weight_scales(shape: Shape) -> np.ndarray:
    """Of each weight, because no group belongs to an output."""
    return _numbers(shape) // KINDS[shape.kind][0]


def constant(shape: Shape, code: int, zero: int) -> tuple[dict[str, Any], dict[str, Array]]:
    block, storage, double = KINDS[shape.kind]
    codes = np.full((shape.out, shape.in_features), code)
    blocks = -(-codes.size // block)
    if not double:
        ones = Array.of(np.ones(blocks, np.float32))
        return dialect.config("nf4"), pack(codes, codes, ones, block=block, storage=storage)
    # Each byte stands for itself.
    nested = np.arange(256), np.ones(-(-blocks // 256)), 0.0
    bytes_ = Array.of(np.ones(blocks, np.uint8))
    return dialect.config("nf4"), pack(codes, codes, bytes_, block=block, storage=storage, nested=nested)


def read_codes(weights: np.ndarray, zero: int, bits: int) -> np.ndarray:
    """The code of each number."""
    found = np.full(weights.shape, -1)
    for code, value in enumerate(VALUES["nf4"]):
        found[weights == value] = code
    return found


def scales_of(bits: np.ndarray, like: Array) -> Array:
    if like.dtype == "uint8":
        return Array.of((1 + bits).astype(np.uint8).reshape(like.shape))
    return ones_and_twos(bits, like)


LAYOUT = Layout(
    codes="weight",
    scales="weight.absmax",
    zeros=None,
    map=None,
    code_places=code_places,
    group_scales=weight_scales,
    weight_scales=weight_scales,
    read_codes=read_codes,
    one=lambda bits: (ONE, 0),
    scales_of=scales_of,
)
