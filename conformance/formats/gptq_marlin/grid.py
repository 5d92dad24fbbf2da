"""The grid of Marlin's tiles."""

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
# Outputs come in tiles of 64.
OUT = 128

OPTIONS: Options = {
    "size": (128, -1, 64, 32, 16),
    "dtype": FLOATS,
    "scales": ("ordinary", *common.SCALE_KINDS),
    "output": (None, *FLOATS),
    "bias": (None, "zero", "real"),
    "shape": ((OUT, common.IN), (64, 512)),
    "spelling": ("gptq", "awq", "old"),
}
THREEFOLD = ("size", "dtype", "shape")
APART: Apart = ()


def grid() -> Iterator[Unmade]:
    for size, dtype in product((128, -1, 64, 32), FLOATS):
        yield _sample(f"g{size}-{dtype}", size, dtype)
    for name, dtype, options in common.variations():
        if options.get("shape", (64, 64))[0] % 64 == 0:
            yield _sample(name, 32, dtype, **options)
    for inputs in (16, 48, 128):
        yield _sample(f"one-group-of-{inputs}", -1, "float16", shape=(64, inputs))
        yield _sample(f"one-group-of-its-size-{inputs}", inputs, "float16", shape=(64, inputs))
    for name, ((out, inputs), size) in common.REAL_SIZES.items():
        yield _sample(name, size, "float16", shape=(max(64, out // 64 * 64), inputs), real_size=True)
    for row in rows(OPTIONS, THREEFOLD, APART):
        own = {key: value for key, value in row.items() if key not in ("size", "dtype")}
        yield _sample(common.combined(row), row["size"], row["dtype"], **own)


@unmade
def _sample(name: str, size: int, dtype: str, **options: Any) -> Sample:
    draw, (out, in_features) = Draw(f"gptq_marlin-{name}"), options.get("shape", (OUT, common.IN))
    size_of_group = in_features if size == -1 else size
    groups = in_features // size_of_group
    q, z = draw.below(16, out, in_features), np.full((groups, out), packing.ZERO)
    scales = draw.scales(dtype, options.get("scales", "ordinary"), groups, out)
    config = {
        "old": {"w_bit": 4, "q_group_size": size, "version": "MARLIN", "zero_point": False},
        "awq": packing.awq(size),
    }.get(options.get("spelling", ""), packing.config(4, size))
    parts = Integer.of(q, z, scales, np.arange(in_features) // size_of_group)
    tensors = packing.pack(q, z, scales, named=packing.names_of(config))
    return common.sample(name, draw, config, tensors, parts, options)
