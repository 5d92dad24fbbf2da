"""The grid of quanto's bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import FLOATS
from .. import grid as common
from ..draw import Draw
from ..module import Sample, Unmade, unmade
from ..parts import Integer
from .packing import ZERO, described, pack

SMOKE = "bfloat16"


def grid() -> Iterator[Unmade]:
    for dtype in FLOATS:
        yield _sample(dtype, dtype=dtype)
    for name, dtype, options in common.variations():
        yield _sample(name, dtype=dtype, **options)
    for name, (shape, _) in common.REAL_SIZES.items():
        yield _sample(name, shape=shape, real_size=True)
    for out, in_features in ((37, 67), (1, 64), (64, 1)):
        yield _sample(f"odd-{out}x{in_features}", shape=(out, in_features))


@unmade
def _sample(name: str, *, dtype: str = "bfloat16", **options: Any) -> Sample:
    draw, (out, in_features) = Draw(f"quanto_int8-{name}"), options.get("shape", (common.OUT, common.IN))
    q, scales = draw.below(256, out, in_features), draw.scales(dtype, options.get("scales", "ordinary"), 1, out)
    z = np.full((1, out), ZERO)
    parts = Integer.of(q, z, scales, np.zeros(in_features, np.int64), 8)
    return common.sample(name, draw, described(), pack(q, z, scales), parts, options)
