"""The grid of bitsandbytes' 4 bits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import FLOATS, Array
from .. import grid as common
from ..covering import rows
from ..dialects import bitsandbytes as dialect
from ..draw import Draw
from ..module import Sample, Unmade, unmade
from .packing import BLOCKS, STEPS, VALUES, Flat, pack, unpacked

SMOKE = "nf4-b64-bfloat16"
STORAGE = ("uint8", "int8", "float16", "bfloat16", "float32")
# Rows of whole blocks, blocks across the ends of rows, rows of odd length, and less than a block.
SIZES = ((32, 128), (10, 72), (31, 33), (6, 12))
OPTIONS: dict[str, tuple[Any, ...]] = {
    "kind": tuple(VALUES),
    "block": (32, 64, 128, 4096),
    "scaled": ("plain", "double", "half"),
    "storage": STORAGE,
    "dtype": FLOATS,
    "shape": SIZES,
    "bias": (None, "zero", "real"),
    "output": (None, "float16", "float32"),
}
THREEFOLD = ("kind", "block", "scaled")
# Everything goes with everything: bytes of each shape fill whole elements of each storage.
APART: tuple[Any, ...] = ()


def grid() -> Iterator[Unmade]:
    for kind in VALUES:
        for dtype in FLOATS:
            yield _sample(f"{kind}-b64-{dtype}", kind=kind, dtype=dtype)
        for block in BLOCKS:
            yield _sample(f"{kind}-b{block}", kind=kind, block=block)
            yield _sample(f"{kind}-double-b{block}", kind=kind, block=block, scaled="double")
        for storage in STORAGE[1:]:
            yield _sample(f"{kind}-stored-as-{storage}", kind=kind, storage=storage)
        for out, in_features in SIZES[1:]:
            yield _sample(f"{kind}-{out}x{in_features}", kind=kind, shape=(out, in_features))
            yield _sample(f"{kind}-double-{out}x{in_features}", kind=kind, shape=(out, in_features), scaled="double")
    yield _sample("nf4-double-many", block=32, scaled="double", shape=(96, 256))
    yield _sample("nf4-double-in-blocks-of-64", block=32, scaled="double", shape=(96, 256), nested_block=64)
    for row in rows(OPTIONS, THREEFOLD, APART):
        yield _sample(common.combined(row), **row)
    for name, dtype, options in common.variations():
        yield _sample(name, dtype=dtype, stored=dtype, **options)
    for name, shape, scaled in (
        ("7b-down_proj", (8, 11008), "double"),
        ("7b-gate_proj", (11008, 32), "plain"),
        ("moe-expert", (768, 1408), "double"),
    ):
        yield _sample(name, scaled=scaled, shape=shape, real_size=True)


@unmade
def _sample(
    name: str,
    *,
    kind: str = "nf4",
    block: int = 64,
    scaled: str = "plain",
    storage: str = "uint8",
    dtype: str = "bfloat16",
    stored: str = "float32",
    nested_block: int = 256,
    **options: Any,
) -> Sample:
    draw, (out, in_features) = Draw(f"bnb_4bit-{name}"), options.get("shape", (common.OUT, common.IN))
    codes = draw.below(16, out, in_features)
    blocks = -(-codes.size // block)
    nested = None
    if scaled == "double":
        scales = Array.of(draw.below(256, blocks).astype(np.uint8))
        own = draw.scales("float32", "ordinary", -(-blocks // nested_block))
        nested = STEPS, own.float64(), float(np.float32(0.1) * (1 + draw.below(9)))
        values = unpacked(scales.bits, nested, nested_block)
    else:
        scales = draw.scales("float16" if scaled == "half" else stored, options.get("scales", "ordinary"), blocks)
        values = scales.float64()
    tensors = pack(
        codes,
        codes,
        scales,
        kind=kind,
        block=block,
        dtype=dtype,
        storage=storage,
        nested=nested,
        nested_block=nested_block,
    )
    parts = Flat(codes, VALUES[kind], values, (1, block), dtype)
    return common.sample(name, draw, dialect.config(kind), tensors, parts, options)
