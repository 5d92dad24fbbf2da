"""The grid of HQQ."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from ...bits.array import FLOATS, Array
from ...bits.rounding import nearest
from .. import grid as common
from ..covering import Apart, Options, rows
from ..draw import Draw
from ..module import Sample, Unmade, unmade
from .packing import PACKINGS, TAKEN, config, pack_floats, zeroed

SMOKE = "4bit-axis-1-float16"
OPTIONS: Options = {
    "bits": (4, 8, 3, 2, 1, 6, 1.58),
    "axis": (1, 0),
    "size": (64, 32, 16, -1),
    "dtype": FLOATS,
    "scales": ("ordinary", *common.SCALE_KINDS),
    "zeros": ("whole", "real"),
    "as_float": (False, True),
    "output": (None, *FLOATS),
    "bias": (None, "real"),
}
THREEFOLD = ("bits", "axis", "size")
APART: Apart = ()


def grid() -> Iterator[Unmade]:
    for bits, axis, dtype in product(PACKINGS, (1, 0), FLOATS):
        yield _sample(f"{bits}bit-axis-{axis}-{dtype}", bits=bits, axis=axis, dtype=dtype)
    for said, axis in product(TAKEN, (1, 0)):
        yield _sample(f"said-{said}-axis-{axis}", bits=said, axis=axis)
    for size in (8, 16, 32, 128, -1):
        yield _sample(f"g{size}", size=size)
        yield _sample(f"g{size}-axis-0", size=size, axis=0)
    for bits, dtype in product((4, 3), FLOATS):
        yield _sample(f"{bits}bit-viewed-as-{dtype}", bits=bits, dtype=dtype, as_float=True)
    # Groups that cross the ends of rows, and rows of groups that do not fill their words.
    for axis, bits in product((1, 0), (4, 3)):
        yield _sample(f"{bits}bit-axis-{axis}-groups-across-rows", bits=bits, axis=axis, size=24, shape=(24, 40))
    yield _sample("3bit-one-output", bits=3, size=40, shape=(1, 40))
    yield _sample("8bit-one-input", bits=8, size=1, shape=(48, 1))
    for name, dtype, options in common.variations():
        yield _sample(name, size=32, dtype=dtype, **options)
    for name, ((out, inputs), size) in common.REAL_SIZES.items():
        yield _sample(name, size=size, shape=(out, inputs), real_size=True)
    yield _sample("7b-down_proj-axis-0", size=16, axis=0, shape=(16, 11008), real_size=True)
    for row in rows(OPTIONS, THREEFOLD, APART):
        yield _sample(common.combined({key: _said(key, value) for key, value in row.items()}), **row)


def _said(key: str, value: Any) -> Any:
    """As a name has it: the axis beside its number, and a view only where there is one."""
    if key == "as_float":
        return "viewed" if value else None
    return f"axis-{value}" if key == "axis" else value


@unmade
def _sample(
    name: str,
    *,
    bits: float = 4,
    axis: int = 1,
    size: int = 64,
    dtype: str = "float16",
    zeros: str = "real",
    as_float: bool = False,
    **options: Any,
) -> Sample:
    draw, (out, in_features) = Draw(f"hqq-{name}"), options.get("shape", (common.OUT, common.IN))
    width, group = int(TAKEN.get(bits, bits)), size
    if size == -1:
        group = in_features if axis else out
    codes = draw.below(1 << int(bits + 0.5), out, in_features)
    count = codes.size // group
    scales = draw.scales(dtype, options.get("scales", "ordinary"), count)
    points = _points(draw, dtype, zeros, width, count)
    tensors = pack_floats(codes, points, scales, bits=width, group=group, axis=axis, as_float=as_float, nbits=bits)
    parts = zeroed(codes, points, scales, bits=width, group=group, axis=axis)
    return common.sample(name, draw, config(bits, size, axis, as_float), tensors, parts, options)


def _points(draw: Draw, dtype: str, kind: str, bits: int, count: int) -> Array:
    """Zero points that are codes, or somewhere about them, of every mantissa."""
    if kind == "whole":
        return nearest(draw.below(1 << bits, count).astype(np.float64), dtype)
    found = draw.scales(dtype, "ordinary", count)
    # Exponents from 2**-4 to 2**7 in place of 2**-10 to 2.
    places = {"float16": 10, "bfloat16": 7, "float32": 23}[dtype]
    signs = draw.below(8, count) == 0
    moved = found.bits + found.bits.dtype.type(6 << places)
    return Array(dtype, moved | (signs.astype(found.bits.dtype) << (8 * found.bits.itemsize - 1)))
