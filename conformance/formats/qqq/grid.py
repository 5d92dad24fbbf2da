"""The grid of QQQ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ...bits.array import FLOATS, Array
from .. import grid as common
from ..covering import Apart, Options, rows
from ..draw import Draw
from ..module import Sample, Unmade, unmade
from .packing import config, pack, parts

SMOKE = "g128"
# Outputs come in tiles of 64.
OUT = 128
# Scales of groups that fill 8 bits or go beyond them, before those of every other kind.
GROWN = ("filling", "ordinary", *common.SCALE_KINDS)

OPTIONS: Options = {
    "size": (128, -1, 64, 32, 16),
    "scales": ("ordinary", *common.SCALE_KINDS),
    "grown": GROWN,
    "output": (None, *FLOATS),
    "bias": (None, "zero", "real"),
    "shape": ((OUT, common.IN), (64, 512)),
}
THREEFOLD = ("size", "scales", "shape")
APART: Apart = tuple(
    ({"size": -1, "grown": kind}, "one group has no scales but those of outputs") for kind in GROWN[1:]
)


def grid() -> Iterator[Unmade]:
    yield _sample("g128", 128)
    yield _sample("g64", 64)
    yield _sample("g-all", -1)
    for kind in GROWN[1:]:
        yield _sample(f"groups-{kind}", 32, grown=kind)
    for kind in common.SCALE_KINDS:
        yield _sample(f"{kind}-scales", 32, scales=kind)
        yield _sample(f"g-all-{kind}-scales", -1, scales=kind)
    for output in FLOATS:
        yield _sample(f"to-{output}", 32, scales="any-finite", output=output)
    for name, shape in common.SHAPES.items():
        if shape[0] % 64 == 0:
            yield _sample(f"shape-{name}", -1 if shape[1] < 64 else 32, shape=shape)
    for bias in ("zero", "real"):
        yield _sample(f"bias-{bias}", 128, bias=bias)
    for inputs in (16, 48, 128):
        yield _sample(f"one-group-of-{inputs}", -1, shape=(64, inputs))
        yield _sample(f"one-group-of-its-size-{inputs}", inputs, shape=(64, inputs))
    for name, ((out, inputs), size) in common.REAL_SIZES.items():
        shape = (max(64, out // 64 * 64), inputs)
        yield _sample(name, size, shape=shape, real_size=True)
    for row in rows(OPTIONS, THREEFOLD, APART):
        yield _sample(common.combined(row), row["size"], **{key: row[key] for key in row if key != "size"})


@unmade
def _sample(name: str, size: int, **options: Any) -> Sample:
    draw, (out, in_features) = Draw(f"qqq-{name}"), options.get("shape", (OUT, common.IN))
    groups, kind = 1 if size == -1 else in_features // size, options.get("grown", "filling")
    codes = draw.below(16, out, in_features)
    scales = draw.scales("float32", options.get("scales", "ordinary"), 1, out)
    grown = None
    if groups > 1 and kind == "filling":
        exponents, mantissas = draw.below(5, groups, out) + 16, draw.below(1 << 10, groups, out)
        grown = Array("float16", (exponents << 10 | mantissas).astype(np.uint16))
    elif groups > 1:
        grown = draw.scales("float16", kind, groups, out)
    settings, tensors = config(4, size), pack(codes, codes, scales, grown)
    found = common.sample(name, draw, settings, tensors, parts(settings, tensors), options)
    return found if kind == GROWN[0] else replace(found, flags=found.flags | {f"grown-{kind}"})
