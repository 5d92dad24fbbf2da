"""The grid of quanto's narrow codes."""

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
from .packing import WIDTHS, described, lowered, pack_floats

SMOKE = "4bit-bfloat16"
OPTIONS: Options = {
    "bits": WIDTHS,
    "size": (128, 64, 32, -1),
    "dtype": FLOATS,
    "scales": ("ordinary", *common.SCALE_KINDS),
    "shifts": ("real", "products", "negative"),
    "output": (None, *FLOATS),
    "bias": (None, "real"),
}
THREEFOLD = ("bits", "size", "dtype")
APART: Apart = ()


def grid() -> Iterator[Unmade]:
    for bits, dtype in product(WIDTHS, FLOATS):
        yield _sample(f"{bits}bit-{dtype}", bits=bits, dtype=dtype)
    for size, bits in product((128, 64, 32, -1), WIDTHS):
        yield _sample(f"{bits}bit-g{size}", bits=bits, size=size)
    yield _sample("g96", size=96, shape=(24, 192))
    for shifts, dtype in product(("products", "negative"), FLOATS):
        yield _sample(f"shifts-{shifts}-{dtype}", shifts=shifts, dtype=dtype)
    # Groups that do not fill their rows of bytes.
    for bits, (out, size) in product(WIDTHS, ((33, -1), (3, 64), (1, 32))):
        yield _sample(f"{bits}bit-odd-{out}-g{size}", bits=bits, size=size, shape=(out, 64 if size > 0 else 40))
    for name, dtype, options in common.variations():
        yield _sample(name, size=32, dtype=dtype, **options)
    for name, (shape, size) in common.REAL_SIZES.items():
        if size in (128, 64, 32):
            yield _sample(name, size=size, shape=shape, real_size=True)
    for row in rows(OPTIONS, THREEFOLD, APART):
        yield _sample(common.combined(row), **row)


@unmade
def _sample(
    name: str, *, bits: int = 4, size: int = 128, dtype: str = "bfloat16", shifts: str = "real", **options: Any
) -> Sample:
    draw, (out, in_features) = Draw(f"quanto_int4-{name}"), options.get("shape", (common.OUT, common.IN))
    codes = draw.below(1 << bits, out, in_features)
    count = out if size == -1 else codes.size // size
    scales = draw.scales(dtype, options.get("scales", "ordinary"), count)
    lows = _shifts(draw, scales, shifts, bits)
    tensors = pack_floats(codes, lows, scales, bits=bits)
    parts = lowered(codes, lows, scales, bits=bits)
    return common.sample(name, draw, described(f"qint{bits}", in_features), tensors, parts, options)


def _shifts(draw: Draw, scales: Array, kind: str, bits: int) -> Array:
    """Of every mantissa about as large as products; or products of the scale, so that weights are zero."""
    if kind == "products":
        largest = np.finfo(np.float16 if scales.dtype == "float16" else np.float32).max
        exact = scales.float64() * draw.below(1 << bits, scales.bits.size)
        return nearest(np.clip(exact, -largest, largest) * (1 if scales.dtype != "bfloat16" else 0.5), scales.dtype)
    return draw.scales(scales.dtype, "negative" if kind == "negative" else "ordinary", scales.bits.size)
