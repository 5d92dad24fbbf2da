"""The grid of FP8 in parts."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

from ...bits.array import FLOATS, Array
from ...bits.floats import E4M3
from .. import grid as common
from ..covering import Apart, Options, rows
from ..draw import Draw
from ..fp8.grid import LEGAL
from ..module import Sample, Unmade, unmade
from ..scaled import Scaled
from .packing import QUANTO, TORCHAO, quanto, stored, torchao

SMOKE = "quanto-bfloat16"
OPTIONS: Options = {
    "block": ("row", "tensor", "blocks", "group"),
    "dtype": FLOATS,
    "kept": ("float32", "bfloat16"),
    "scales": ("ordinary", *common.SCALE_KINDS),
    "output": (None, *FLOATS),
    "bias": (None, "real"),
}
THREEFOLD = ("block", "dtype", "output")
APART: Apart = ()
_BLOCKS = {"blocks": (32, 64), "group": (1, 32)}


def grid() -> Iterator[Unmade]:
    for dtype in FLOATS:
        yield _sample(f"quanto-{dtype}", kept=dtype)
    for block, dtype in product(("row", "tensor", "blocks", "group"), FLOATS):
        yield _sample(f"torchao-{block}-{dtype}", block=block, dtype=dtype)
    for name, dtype, options in common.variations():
        yield _sample(name, kept=dtype, **options)
    for out, in_features in ((37, 67), (1, 64), (64, 1)):
        yield _sample(f"quanto-odd-{out}x{in_features}", shape=(out, in_features))
        yield _sample(f"torchao-odd-{out}x{in_features}", block="row", dtype="bfloat16", shape=(out, in_features))
    for name, shape in (("7b-down_proj", (8, 11008)), ("7b-gate_proj", (11008, 32)), ("moe-expert", (768, 1408))):
        yield _sample(name, shape=shape, real_size=True)
    for row in rows(OPTIONS, THREEFOLD, APART):
        name = "-".join(str(value) for key, value in row.items() if key != "output" and value is not None)
        yield _sample(f"joined-{name}" + (f"-to-{row['output']}" if row["output"] else ""), **row)


@unmade
def _sample(
    name: str, *, kept: str = "bfloat16", block: str | None = None, dtype: str | None = None, **options: Any
) -> Sample:
    """quanto's where no ``block`` is said; ``kept`` is the dtype of scales."""
    draw, (out, in_features) = Draw(f"fp8_parts-{name}"), options.get("shape", (common.OUT, common.IN))
    shape = {None: (1, in_features), "row": (1, in_features), "tensor": (out, in_features)} | _BLOCKS
    tall, wide = shape[block]
    codes = LEGAL[draw.below(len(LEGAL), out, in_features)]
    scales = draw.scales(kept, options.get("scales", "ordinary"), out // tall, in_features // wide)
    parts = Scaled(codes, E4M3, scales.float64(), (tall, wide), dtype or kept)
    if block is None:
        # Of a single output quanto stores the scale without axes.
        own = Array(kept, scales.bits.reshape(())) if out == 1 else scales
        return common.sample(name, draw, quanto(), stored(QUANTO, codes, own), parts, options)
    config = torchao((tall, wide), str(dtype))
    return common.sample(name, draw, config, stored(TORCHAO, codes, scales), parts, options)
