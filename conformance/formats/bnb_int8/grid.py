"""The grid of LLM.int8."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...bits.array import FLOATS
from .. import grid as common
from ..covering import rows
from ..dialects import bitsandbytes as dialect
from ..draw import Draw
from ..module import Sample, Unmade, unmade
from .packing import Rows, pack

SMOKE = "plain"
SIZES = ((96, 256), (17, 33), (1, 64), (64, 1))
OPTIONS: dict[str, tuple[Any, ...]] = {
    "shape": SIZES,
    "scales": ("ordinary", *common.SCALE_KINDS),
    "bias": (None, "zero", "real"),
    "output": (None, "float16", "bfloat16"),
}
THREEFOLD = ("shape", "scales", "output")
APART: tuple[Any, ...] = ()


def grid() -> Iterator[Unmade]:
    yield _sample("plain")
    yield _sample("another")
    for output in FLOATS:
        yield _sample(f"to-{output}", output=output)
    for kind in common.SCALE_KINDS:
        yield _sample(f"{kind}-scales", scales=kind)
    for name, shape in common.SHAPES.items():
        yield _sample(f"shape-{name}", shape=shape)
    for row in rows(OPTIONS, THREEFOLD, APART):
        yield _sample(common.combined(row), **row)
    for name, (shape, _) in common.REAL_SIZES.items():
        yield _sample(name, shape=shape, real_size=True)


@unmade
def _sample(name: str, **options: Any) -> Sample:
    draw, (out, in_features) = Draw(f"bnb_int8-{name}"), options.get("shape", (common.OUT, common.IN))
    codes = draw.below(256, out, in_features) - 128
    scales = draw.scales("float32", options.get("scales", "ordinary"), out)
    parts = Rows(codes, scales.float64())
    return common.sample(name, draw, dialect.config("int8"), pack(codes, codes, scales), parts, options)
