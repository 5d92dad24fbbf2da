"""The grid of metal."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from ...bits.array import FLOATS
from .. import grid as common
from ..covering import Apart, Options, rows
from ..draw import Draw
from ..module import Sample, Unmade, unmade
from ..offset import scaled_zeros
from .packing import WIDTHS, Steps, config, pack_offsets

SMOKE = "4bit-g64-float16"
OPTIONS: Options = {
    "bits": WIDTHS,
    "size": (64, 32, 128, 16, 256),
    "dtype": FLOATS,
    "scales": ("ordinary", *common.SCALE_KINDS),
    "offsets": ("zeros", "any"),
    "output": (None, *FLOATS),
    "bias": (None, "zero", "real"),
}
THREEFOLD = ("bits", "size", "dtype")
APART: Apart = ()


def grid() -> Iterator[Unmade]:
    for bits, size, dtype in product(WIDTHS, (64, 32, 128), FLOATS):
        yield _sample(f"{bits}bit-g{size}-{dtype}", bits=bits, size=size, dtype=dtype)
    for bits, size in product(WIDTHS, (16, 256)):
        yield _sample(f"{bits}bit-by-{size}", bits=bits, size=size)
    for bits, dtype in product(WIDTHS, FLOATS):
        yield _sample(f"{bits}bit-any-offsets-{dtype}", bits=bits, dtype=dtype, offsets="any", scales="any-finite")
    for name, dtype, options in common.variations():
        yield _sample(name, size=32, dtype=dtype, **options)
    yield _sample("8bit-g20", bits=8, size=20, shape=(5, 60))
    yield _sample("4bit-one-word", size=8, shape=(1, 8))
    for name, (shape, size) in common.REAL_SIZES.items():
        yield _sample(name, size=shape[1] if size == -1 else size, shape=shape, real_size=True)
    for row in rows(OPTIONS, THREEFOLD, APART):
        yield _sample(common.combined(row), **row)


@unmade
def _sample(name: str, *, bits: int = 4, size: int = 64, dtype: str = "float16", **options: Any) -> Sample:
    draw, (out, in_features) = Draw(f"metal-{name}"), options.get("shape", (common.OUT, common.IN))
    groups = in_features // size
    q, z = draw.below(1 << bits, out, in_features), draw.below(1 << bits, groups, out)
    scales = draw.scales(dtype, options.get("scales", "ordinary"), groups, out)
    offsets = scaled_zeros(z, scales)
    if options.get("offsets") == "any":
        offsets = draw.scales(dtype, "any-finite", groups, out)
    parts = Steps(q, scales.float64(), offsets.float64(), np.arange(in_features) // size, dtype, bits)
    tensors = pack_offsets(q, scales, offsets, bits=bits)
    return common.sample(name, draw, config(bits, size), tensors, parts, options)
