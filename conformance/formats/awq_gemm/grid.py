"""The grid of AWQ gemm."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from ...bits.array import FLOATS
from .. import grid as common
from ..draw import Draw
from ..module import Sample
from ..parts import Integer
from . import packing

SMOKE = "g128-float16"


def grid() -> Iterator[Sample]:
    for size, dtype in product((32, 64, 128, -1), FLOATS):
        yield _sample(f"g{size}-{dtype}", size, dtype)
    legacy: tuple[tuple[str, int, dict[str, Any]], ...] = (
        ("legacy", 32, {"w_bit": 4, "q_group_size": 32, "version": "GEMM", "zero_point": True}),
        ("legacy-with-method", 64, {"quant_method": "awq", "w_bit": 4, "q_group_size": 64, "version": "GEMM"}),
    )
    for name, size, config in legacy:
        yield _sample(f"config-{name}", size, "float16", config=config)
    for name, dtype, options in common.variations():
        yield _sample(name, 32, dtype, **options)


def _sample(name: str, size: int, dtype: str, **options: Any) -> Sample:
    draw, (out, in_features) = Draw(f"awq-{name}"), options.get("shape", (common.OUT, common.IN))
    groups = 1 if size == -1 else in_features // size
    q, z = draw.below(16, out, in_features), draw.below(16, groups, out)
    scales = draw.scales(dtype, options.get("scales", "ordinary"), groups, out)
    g = np.arange(in_features) // (in_features if size == -1 else size)
    config = options.get("config", packing.config(4, size))
    return common.sample(name, draw, config, packing.pack(q, z, scales), Integer.of(q, z, scales, g), options)
