"""The grid of AWQ gemv."""

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
from ..parts import Integer
from . import packing

SMOKE = "g128-float16"

OPTIONS: Options = {
    "size": (32, 128, 64, 256, -1),
    "dtype": FLOATS,
    "scales": ("ordinary", *common.SCALE_KINDS),
    "output": (None, *FLOATS),
    "bias": (None, "zero", "real"),
    "shape": ((common.OUT, common.IN), (40, 1024)),
    "spelling": ("plain", "old"),
}
THREEFOLD = ("size", "dtype", "shape")
APART: Apart = ()


def grid() -> Iterator[Unmade]:
    for size, dtype in product((32, 64, 128, -1), FLOATS):
        yield _sample(f"g{size}-{dtype}", size, dtype)
    for name, dtype, options in common.variations():
        yield _sample(name, 32, dtype, **options)
    # Words of zero points: full, one more group than that, and as many as a row of g32 begins.
    for size, inputs in ((128, 1024), (128, 1152), (64, 1024), (64, 1088), (32, 1024), (32, 1056)):
        yield _sample(f"g{size}-in-{inputs}", size, "float16", shape=(16, inputs))
    for inputs in (32, 64, 136):
        yield _sample(f"one-group-of-{inputs}", -1, "float16", shape=(16, inputs))
    for name, (shape, size) in common.REAL_SIZES.items():
        yield _sample(name, size, "float16", shape=shape, real_size=True)
    for row in rows(OPTIONS, THREEFOLD, APART):
        size, old = row["size"], {"w_bit": 4, "q_group_size": row["size"], "version": "GEMV", "zero_point": True}
        own = {key: value for key, value in row.items() if key not in ("size", "dtype", "spelling")}
        own |= {"config": old} if row["spelling"] == "old" else {}
        yield _sample(common.combined(row), size, row["dtype"], **own)


@unmade
def _sample(name: str, size: int, dtype: str, **options: Any) -> Sample:
    draw, (out, in_features) = Draw(f"awq_gemv-{name}"), options.get("shape", (common.OUT, common.IN))
    size_of_group = in_features if size == -1 else size
    groups = in_features // size_of_group
    q, z = draw.below(16, out, in_features), draw.below(16, groups, out)
    scales = draw.scales(dtype, options.get("scales", "ordinary"), groups, out)
    config = options.get("config", packing.config(4, size))
    parts = Integer.of(q, z, scales, np.arange(in_features) // size_of_group)
    return common.sample(name, draw, config, packing.pack(q, z, scales), parts, options)
