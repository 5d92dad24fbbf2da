"""The grid of AQLM."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...bits.array import FLOATS, Array
from .. import grid as common
from ..covering import rows
from ..draw import Draw
from ..module import Sample, Unmade, unmade
from .packing import Additive, config, laid

SMOKE = "1x8-g8"
SIZES = ((96, 240), (8, 40), (2, 80), (40, 40))
OPTIONS: dict[str, tuple[Any, ...]] = {
    "bits": (8, 4, 10, 1),
    "books": (1, 2, 3),
    "dtype": FLOATS,
    "block": ((1, 8), (1, 1), (2, 4), (2, 5)),
    "shape": SIZES,
    "scales": ("ordinary", "negative", "subnormal", "zero"),
    "bias": (None, "zero", "real"),
    "output": (None, "float16", "float32"),
}
THREEFOLD = ("bits", "books", "dtype")
APART: tuple[Any, ...] = ()


def grid() -> Iterator[Unmade]:
    for books, bits, columns in ((1, 8, 8), (2, 8, 8), (1, 12, 8), (1, 16, 2), (4, 8, 8), (8, 8, 8), (1, 8, 32)):
        yield _sample(f"{books}x{bits}-g{columns}", books=books, bits=bits, block=(1, columns), shape=(96, 256))
    for block in ((8, 8), (4, 1), (16, 2), (3, 5)):
        yield _sample(f"2x6-blocks-{block[0]}x{block[1]}", books=2, bits=6, block=block, shape=(48, 80))
    for bits in (1, 2, 3, 5, 7, 9):
        yield _sample(f"2x{bits}-g4", books=2, bits=bits, block=(1, 4))
    for name, dtype, options in common.variations():
        yield _sample(name, dtype=dtype, **options)
    for row in rows(OPTIONS, THREEFOLD, APART):
        label = "{}x{}".format(*row["block"])
        yield _sample(common.combined(row | {"block": f"blocks-{label}", "books": f"{row['books']}x"}), **row)
    for name, (shape, _) in common.REAL_SIZES.items():
        yield _sample(name, books=2, shape=shape, real_size=True)


@unmade
def _sample(
    name: str,
    *,
    bits: int = 8,
    books: int = 1,
    block: tuple[int, int] = (1, 8),
    dtype: str = "float16",
    **options: Any,
) -> Sample:
    draw, (out, in_features) = Draw(f"aqlm-{name}"), options.get("shape", (common.OUT, common.IN))
    out_blocks, in_blocks = out // block[0], in_features // block[1]
    codes = draw.below(1 << bits, out_blocks, in_blocks, books)
    drawn = draw.scales(dtype, "ordinary", books, 1 << bits, *block)
    # Of either sign, and of every codebook some that are zero.
    width = 8 * drawn.bits.itemsize
    signs = draw.below(2, *drawn.shape).astype(drawn.bits.dtype) << drawn.bits.dtype.type(width - 1)
    kept = drawn.bits * (draw.below(32, *drawn.shape) > 0).astype(drawn.bits.dtype)
    tables = Array(dtype, kept | signs)
    scales = draw.scales(dtype, options.get("scales", "ordinary"), out_blocks)
    parts = Additive(codes, tables.float64(), scales.float64(), dtype)
    settings = config(bits, books=books, block=block)
    return common.sample(name, draw, settings, laid(codes, tables, scales, bits), parts, options)
