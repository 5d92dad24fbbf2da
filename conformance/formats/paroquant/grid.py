"""The grid of ParoQuant."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from ...bits.array import FLOATS
from ...bits.rounding import nearest
from .. import grid as common
from ..covering import Apart, Options, rows
from ..draw import Draw
from ..module import Sample, Unmade, unmade
from ..parts import Integer
from .packing import Turned, config, laid

SMOKE = "g128-float16"

OPTIONS: Options = {
    "size": (32, 128, 64, 16, -1),
    "krot": (8, 1, 3),
    "dtype": FLOATS,
    "scales": ("ordinary", "negative", "subnormal", "zero"),
    "angles": FLOATS,
    "output": (None, *FLOATS),
    "bias": (None, "zero", "real"),
    "shape": ((common.OUT, common.IN), (40, common.IN)),
}
THREEFOLD = ("size", "krot", "dtype")
APART: Apart = ()


def grid() -> Iterator[Unmade]:
    for size, dtype in product((32, 64, 128, -1), FLOATS):
        yield _sample(f"g{size}-{dtype}", size, dtype)
    for krot in (1, 2, 4, 16):
        yield _sample(f"krot-{krot}", 64, "float16", krot=krot)
    for dtype in FLOATS[1:]:
        yield _sample(f"angles-{dtype}", 64, "float16", angles=dtype)
    for name, dtype, options in common.variations():
        # Products beyond float32 are infinite, and a pair of infinite ones turns into no number.
        wide = dtype != "float16" and options.get("scales") in ("huge", "any-finite")
        yield _sample(name, 32, dtype, **options | ({"scales": "ordinary"} if wide else {}))
    for name, (shape, size) in common.REAL_SIZES.items():
        yield _sample(name, size, "float16", krot=2, shape=shape, real_size=True)
    for row in rows(OPTIONS, THREEFOLD, APART):
        own = {key: value for key, value in row.items() if key not in ("size", "dtype")}
        name = common.combined(row | {"krot": f"krot-{row['krot']}", "angles": f"angles-{row['angles']}"})
        yield _sample(name, row["size"], row["dtype"], **own)


@unmade
def _sample(name: str, size: int, dtype: str, krot: int = 8, angles: str = "float16", **options: Any) -> Sample:
    draw, (out, in_features) = Draw(f"paroquant-{name}"), options.get("shape", (common.OUT, common.IN))
    count = in_features if size == -1 else size
    groups = in_features // count
    q, z = draw.below(16, out, in_features), draw.below(16, groups, out)
    scales = draw.scales(dtype, options.get("scales", "ordinary"), groups, out)
    pairs = np.argsort(draw.below(2**62, krot, groups, count), axis=2, kind="stable").reshape(krot, -1, 2)
    # Up to half a turn and a bit either way; every eighth pair stays as it is.
    turns = (draw.below(7000, krot, in_features // 2) - 3500) / 1000 * (draw.below(8, krot, in_features // 2) > 0)
    columns = (draw.below(1 << 11, in_features) + 256) / 1024 * (1 - 2 * (draw.below(16, in_features) == 0))
    stored, own = nearest(turns, angles), nearest(columns, "float16")
    tensors = laid(q, z, scales, pairs, stored, own)
    places = pairs + (np.arange(in_features).reshape(-1, 2) // count * count)
    codes = Integer.of(q, z, scales, np.arange(in_features) // count)
    numbers = Turned(codes, places, stored.float64(), own.float64())
    return common.sample(name, draw, config(4, size, krot), tensors, numbers, options)
