"""The grid of MXFP4."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import FLOATS, Array
from .. import grid as common
from ..draw import Draw
from ..module import Sample, Unmade, unmade
from . import packing

SMOKE = "ct"
CONFIGS: dict[str, dict[str, Any]] = {
    "gpt-oss": packing.GPT_OSS,
    "ct": packing.compressed(),
    "modelopt": packing.modelopt(),
    "modelopt-w4a8": packing.modelopt("W4A8_MXFP4_FP8"),
    "deepseek": packing.DEEPSEEK,
}
# Bytes of scales: of ordinary weights, of those below the normal ones of bfloat16 and of float16, and of those beyond.
RANGES = {"ordinary": (112, 135), "tiny": (0, 12), "small": (96, 112), "large": (128, 150), "huge": (240, 255)}
STACKS = {"one": (1, 24, 64), "square": (2, 64, 64), "narrow": (6, 8, 32), "wide": (3, 8, 480), "many": (32, 4, 32)}


def grid() -> Iterator[Unmade]:
    for name in CONFIGS:
        yield _sample(name, name)
        for kind in RANGES:
            for output in (None, *FLOATS):
                yield _sample(f"{name}-{kind}-to-{output or 'its-own'}", name, range=kind, output=output)
    for name, stack in STACKS.items():
        for output in (None, *FLOATS):
            yield _sample(f"experts-{name}-to-{output or 'its-own'}", "gpt-oss", shape=stack, output=output)
    for name in ("ct", "modelopt", "gpt-oss", "deepseek"):
        for label, shape in common.SHAPES.items():
            yield _sample(f"{name}-shape-{label}", name, shape=shape)
        for bias in ("zero", "real"):
            yield _sample(f"{name}-bias-{bias}", name, bias=bias)
    yield _sample("odd-outputs", "ct", shape=(37, 96))
    yield _sample("e8m0", "ct", dtype="float8_e8m0fnu")
    for name, (shape, _) in common.REAL_SIZES.items():
        yield _sample(name, "ct", shape=shape, real_size=True)
    yield _sample("gpt-oss-20b-experts", "gpt-oss", shape=(2, 360, 2880), real_size=True)


@unmade
def _sample(name: str, kind: str, **options: Any) -> Sample:
    draw, shape = Draw(f"mxfp4-{name}"), options.get("shape", (common.OUT, common.IN))
    low, high = RANGES[options.get("range", "ordinary")]
    codes = draw.below(16, *shape)
    bytes_ = (draw.below(high - low, *shape[:-1], shape[-1] // packing.GROUP) + low).astype(np.uint8)
    tensors = packing.blocks(codes, bytes_)
    if kind == "deepseek":
        tensors = packing.halves(codes, bytes_)
    elif kind != "gpt-oss":
        packed = tensors["_blocks"].bits.reshape(*shape[:-1], -1)
        leaf = "weight_packed" if kind == "ct" else "weight"
        dtype = options.get("dtype", "uint8")
        tensors = {leaf: Array("uint8", packed), "weight_scale": Array(dtype, bytes_)}
    config = dict(CONFIGS[kind])
    return common.sample(name, draw, config, tensors, packing.parts(config, tensors), options)
