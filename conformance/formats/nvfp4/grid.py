"""The grid of NVFP4."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import FLOATS
from ...bits.floats import E4M3
from .. import grid as common
from ..draw import Draw
from ..module import Sample, Unmade, unmade
from . import packing

SMOKE = "ct"
LEGAL = np.flatnonzero(np.isfinite(E4M3))
# What quantisers make: not negative.
USUAL = LEGAL[LEGAL < 0x80]
CONFIGS: dict[str, dict[str, Any]] = {
    "ct": packing.compressed(),
    "modelopt": packing.modelopt(),
    "modelopt-w4a16": packing.modelopt("W4A16_NVFP4"),
    "modelopt-w4a8": packing.modelopt("W4A8_NVFP4_FP8"),
}
# Exponents of two of the scale of the matrix, as it multiplies.
RANGES = {"ordinary": (-16, -8), "tiny": (-126, -118), "small": (-30, -22), "huge": (112, 118)}
STACKS = {"one": (1, 24, 48), "square": (2, 64, 64), "narrow": (6, 8, 16), "wide": (3, 8, 480)}


def grid() -> Iterator[Unmade]:
    for name in CONFIGS:
        yield _sample(name, name)
        for kind in RANGES:
            for output in (None, *FLOATS):
                yield _sample(f"{name}-{kind}-to-{output or 'its-own'}", name, range=kind, output=output)
        yield _sample(f"{name}-any-scale", name, scales="any-finite")
    for name, stack in STACKS.items():
        for output in (None, *FLOATS):
            label = f"{name}-to-{output or 'its-own'}"
            yield _sample(f"experts-{label}", "modelopt", shape=stack, output=output)
            yield _sample(f"experts-of-their-own-{label}", "modelopt", shape=stack, output=output, each=True)
    for name in ("ct", "modelopt"):
        for label, shape in common.SHAPES.items():
            yield _sample(f"{name}-shape-{label}", name, shape=shape)
        for bias in ("zero", "real"):
            yield _sample(f"{name}-bias-{bias}", name, bias=bias)
    yield _sample("odd-outputs", "ct", shape=(37, 48))
    for name, (shape, _) in common.REAL_SIZES.items():
        yield _sample(name, "modelopt", shape=shape, real_size=True)


def whole(draw: Draw, kind: str, count: int) -> np.ndarray:
    """Positive float32 with every mantissa possible."""
    low, high = RANGES[kind]
    exponents = draw.below(high - low, count) + low + 127
    return (exponents << 23 | draw.below(1 << 23, count)).astype(np.uint32).view(np.float32)


@unmade
def _sample(name: str, kind: str, **options: Any) -> Sample:
    draw, shape = Draw(f"nvfp4-{name}"), options.get("shape", (common.OUT, common.IN))
    legal = LEGAL if options.get("scales") == "any-finite" else USUAL
    bytes_ = legal[draw.below(len(legal), *shape[:-1], shape[-1] // packing.GROUP)]
    config = dict(CONFIGS[kind])
    number = whole(draw, options.get("range", "ordinary"), shape[0] if options.get("each") else 1)
    if kind == "ct":
        # It divides; of the least ones the reciprocal is still a normal number.
        number = (1 / number.astype(np.float64)).astype(np.float32)
    elif not options.get("each"):
        number = number.reshape(())
    tensors = packing.named(config, draw.below(16, *shape), bytes_, number)
    return common.sample(name, draw, config, tensors, packing.parts(config, tensors), options)
