"""The grid of AWQ gemv_fast."""

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
from ..offset import Offset, scaled_zeros
from . import packing

SMOKE = "g128-float16"

OPTIONS: Options = {
    "size": (32, 128, 64, 256, -1),
    "dtype": FLOATS,
    "scales": ("ordinary", *common.SCALE_KINDS),
    "offsets": ("zeros", "any"),
    "output": (None, *FLOATS),
    "bias": (None, "zero", "real"),
    "shape": ((common.OUT, common.IN), (40, 1024)),
    "spelling": ("plain", "old", "llm-awq"),
}
THREEFOLD = ("size", "dtype", "shape")
APART: Apart = ()


def grid() -> Iterator[Unmade]:
    for size, dtype in product((32, 64, 128, -1), FLOATS):
        yield _sample(f"g{size}-{dtype}", size, dtype)
    for name, dtype, options in common.variations():
        # Blocks have 64 inputs.
        if options.get("shape", (0, 64))[1] % 64 == 0:
            yield _sample(name, 32, dtype, **options)
    for dtype in FLOATS:
        yield _sample(f"any-offsets-{dtype}", 32, dtype, offsets="any", scales="any-finite")
        yield _sample(f"llm-awq-{dtype}", 128, dtype, spelling="llm-awq")
    for size, inputs in ((128, 1024), (128, 1152), (64, 1024), (64, 1088), (32, 1024), (32, 1088)):
        yield _sample(f"g{size}-in-{inputs}", size, "float16", shape=(16, inputs))
    for inputs in (64, 192):
        yield _sample(f"one-group-of-{inputs}", -1, "float16", shape=(12, inputs))
    for name, ((out, inputs), size) in common.REAL_SIZES.items():
        yield _sample(name, size, "float16", shape=(out, max(inputs, packing.BLOCK)), real_size=True)
    for row in rows(OPTIONS, THREEFOLD, APART):
        own = {key: value for key, value in row.items() if key not in ("size", "dtype")}
        yield _sample(common.combined(row), row["size"], row["dtype"], **own)


@unmade
def _sample(name: str, size: int, dtype: str, **options: Any) -> Sample:
    draw, (out, in_features) = Draw(f"awq_gemv_fast-{name}"), options.get("shape", (common.OUT, common.IN))
    size_of_group = in_features if size == -1 else size
    groups = in_features // size_of_group
    q, z = draw.below(16, out, in_features), draw.below(16, groups, out)
    scales = draw.scales(dtype, options.get("scales", "ordinary"), groups, out)
    offsets = scaled_zeros(z, scales)
    if options.get("offsets") == "any":
        offsets = draw.scales(dtype, "any-finite", groups, out)
    config = {
        "old": {"w_bit": 4, "q_group_size": size, "version": "GEMVFast", "zero_point": True},
        "llm-awq": packing.llm_awq(size),
    }.get(options.get("spelling", ""), packing.config(4, size))
    parts = Offset.of(q, scales, offsets, np.arange(in_features) // size_of_group)
    tensors = packing.pack_offsets(q, scales, offsets, packing.offsets_of(config))
    return common.sample(name, draw, config, tensors, parts, options)
