"""The grid of Gemma's integers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import FLOATS, Array
from .. import grid as common
from ..covering import rows
from ..draw import Draw
from ..module import Sample, Unmade, unmade
from .packing import WIDTHS, Cast, config, pack

SMOKE = "4bit"
SIZES = ((96, 256), (17, 36), (1, 64), (64, 4))
OPTIONS: dict[str, tuple[Any, ...]] = {
    "bits": WIDTHS,
    "shape": SIZES,
    "embedding": (False, True),
    "scales": ("ordinary", *common.SCALE_KINDS),
    "bias": (None, "zero", "real"),
    "output": (None, "float16", "bfloat16"),
}
THREEFOLD = ("bits", "scales", "output")
APART: tuple[Any, ...] = (
    ({"embedding": True, "bias": "zero"}, "embeddings have no bias"),
    ({"embedding": True, "bias": "real"}, "embeddings have no bias"),
)


def grid() -> Iterator[Unmade]:
    for bits in WIDTHS:
        yield _sample(f"{bits}bit", bits=bits)
        yield _sample(f"{bits}bit-embedding", bits=bits, embedding=True)
        for output in FLOATS:
            yield _sample(f"{bits}bit-to-{output}", bits=bits, output=output)
    for name, shape in common.SHAPES.items():
        yield _sample(f"shape-{name}", shape=shape)
    for row in rows(OPTIONS, THREEFOLD, APART):
        kind = "embedding" if row["embedding"] else None
        yield _sample(common.combined(row | {"embedding": kind}), **row)
    for number, (name, (shape, _)) in enumerate(common.REAL_SIZES.items()):
        yield _sample(name, bits=WIDTHS[number % 3], shape=shape, real_size=True)


@unmade
def _sample(name: str, *, bits: int = 4, embedding: bool = False, **options: Any) -> Sample:
    draw, (out, in_features) = Draw(f"gemma_quant-{name}"), options.get("shape", (common.OUT, common.IN))
    q = draw.below(1 << bits, out, in_features)
    scales = draw.scales("float32", options.get("scales", "ordinary"), 1, out)
    z, g = np.full((1, out), 1 << (bits - 1)), np.zeros(in_features, np.int64)
    parts = Cast(q, z, scales.float64(), g, "float32", bits)
    tensors = pack(q, z, Array("float32", scales.bits), bits=bits, embedding=embedding)
    return common.sample(name, draw, config(bits), tensors, parts, options)
