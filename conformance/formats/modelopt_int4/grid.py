"""The grid of ModelOpt's INT4."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import FLOATS
from .. import grid as common
from ..covering import rows
from ..draw import Draw
from ..module import Sample, Unmade, unmade
from ..parts import Integer
from .packing import ZERO, Scaled, modelopt, pack

SMOKE = "plain"
OPTIONS: dict[str, tuple[Any, ...]] = {
    "size": (32, 64, 128, -1),
    "shape": ((96, 256), (64, 128), (2, 256)),
    "inputs": (None, "float16", "bfloat16", "float32"),
    "scales": ("ordinary", *common.SCALE_KINDS),
    "bias": (None, "zero", "real"),
    # Where inputs have scales there is no affine form to ask for, which is asked of the format's own dtype.
    "output": (*FLOATS,),
}
THREEFOLD = ("size", "inputs", "output")
APART: tuple[Any, ...] = ()


def grid() -> Iterator[Unmade]:
    yield _sample("plain")
    for size in (8, 16, 32, 64, 128, 256, -1):
        yield _sample(f"g{size}", size=size)
    for output in FLOATS:
        yield _sample(f"to-{output}", output=output)
        yield _sample(f"{output}-inputs", inputs=output, output="float32")
    for kind in common.SCALE_KINDS:
        yield _sample(f"{kind}-scales", scales=kind)
    for name, shape in common.SHAPES.items():
        yield _sample(f"shape-{name}", shape=shape)
    for out, in_features in ((2, 7), (6, 33), (38, 67)):
        yield _sample(f"odd-{out}x{in_features}", size=-1, shape=(out, in_features))
        yield _sample(f"odd-{out}x{in_features}-inputs", size=-1, shape=(out, in_features), inputs="bfloat16",
                      output="bfloat16")  # fmt: skip
    for row in rows(OPTIONS, THREEFOLD, APART):
        yield _sample(common.combined(row), **row)
    for name, (shape, size) in common.REAL_SIZES.items():
        yield _sample(name, shape=shape, size=size, real_size=True)


@unmade
def _sample(name: str, size: int = 32, inputs: str | None = None, **options: Any) -> Sample:
    draw, (out, in_features) = Draw(f"modelopt_int4-{name}"), options.get("shape", (common.OUT, common.IN))
    groups = 1 if size == -1 else in_features // size
    codes = draw.below(16, out, in_features)
    scales = draw.scales("float32", options.get("scales", "ordinary"), groups, out)
    own = None if inputs is None else draw.scales(inputs, "ordinary", in_features)
    g = np.arange(in_features) // (in_features // groups)
    matrix = Integer.of(codes, np.full((groups, out), ZERO), scales, g)
    found = matrix if own is None else Scaled(matrix, own.float64())
    return common.sample(name, draw, modelopt(size), pack(codes, codes, scales, inputs=own), found, options)
