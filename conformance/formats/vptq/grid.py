"""The grid of VPTQ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import FLOATS, Array
from .. import grid as common
from ..covering import rows
from ..draw import Draw
from ..module import Sample, Unmade, unmade
from .packing import Kind, Vectors, alone, laid, settings

SMOKE = "8v8"
SIZES = ((96, 240), (8, 48), (24, 96), (37, 48))
OPTIONS: dict[str, tuple[Any, ...]] = {
    "bits": (8, 4, 10, 5),
    "more": (0, 2, 4),
    "books": (1, 2, 4),
    "vector": (8, 6, 1),
    "few": ((0, -1, -1), (8, 4, 23)),
    "perm": (True, False),
    "dtype": FLOATS,
    "shape": SIZES,
    "scales": ("ordinary", "negative", "subnormal", "zero"),
    "bias": (None, "zero", "real"),
    "output": (None, "float16", "float32"),
}
THREEFOLD = ("bits", "more", "few")
APART: tuple[Any, ...] = ()


def grid() -> Iterator[Unmade]:
    for bits, more, vector in ((8, 0, 8), (8, 8, 8), (12, 12, 12), (16, 0, 6), (16, 8, 8), (16, 16, 8), (13, 3, 10)):
        extra = f"x{more}" if more else ""
        yield _sample(f"{bits}{extra}v{vector}", bits=bits, more=more, vector=vector)
    for bits in (1, 2, 3, 4, 5, 6, 7, 9, 10, 11):
        yield _sample(f"{bits}v4", bits=bits, vector=4)
    for bits, more in ((3, 3), (5, 4), (9, 2), (11, 6)):
        yield _sample(f"{bits}x{more}v4-padded", bits=bits, more=more, vector=4, shape=(43, 77))
    for perm, books, few in ((True, 1, (0, -1, -1)), (False, 2, (0, -1, -1)), (False, 1, (16, 4, 50))):
        label = "".join(("-perm" if perm else "", f"-{books}books", "-outliers" if few[0] else ""))
        yield _sample(f"not-scaled{label}", more=2, perm=perm, books=books, few=few, norm=False)
    for name, dtype, options in common.variations():
        yield _sample(name, dtype=dtype, more=4, **options)
    for row in rows(OPTIONS, THREEFOLD, APART):
        words = row | {
            "more": f"x{row['more']}",
            "books": f"{row['books']}books",
            "vector": f"v{row['vector']}",
            "few": f"{row['few'][0]}apart",
            "perm": "perm" if row["perm"] else None,
        }
        yield _sample(common.combined(words), **row)
    for name, (shape, _) in common.REAL_SIZES.items():
        yield _sample(name, more=8, shape=shape, real_size=True)


@unmade
def _sample(
    name: str,
    *,
    bits: int = 8,
    more: int = 0,
    books: int = 1,
    vector: int = 8,
    few: tuple[int, int, int] = (0, -1, -1),
    perm: bool = True,
    norm: bool = True,
    dtype: str = "float16",
    **options: Any,
) -> Sample:
    draw, (out, inputs) = Draw(f"vptq-{name}"), options.get("shape", (common.OUT, common.IN))
    kind = Kind(bits, more, vector, books, few, perm, norm)
    group, high, (outliers, tall, entries) = kind.group(inputs), -(-out // vector), few

    def floats(*shape: int, of: str = "ordinary") -> Array:
        drawn = draw.scales(dtype, of, *shape)
        signs = draw.below(2, *shape).astype(drawn.bits.dtype) << drawn.bits.dtype.type(8 * drawn.bits.itemsize - 1)
        return Array(dtype, drawn.bits | signs)

    codes, tables = draw.below(1 << bits, books, high, group), floats(books, 1 << bits, vector)
    residuals = (draw.below(1 << more, books, high, group), floats(books, 1 << more, vector)) if more else None
    apart = (draw.below(entries, -(-out // tall), outliers), floats(entries, tall)) if outliers else None
    order = draw.shuffled(np.arange(inputs)) if perm else None
    scales = draw.scales(dtype, options.get("scales", "ordinary"), inputs)
    biases = floats(inputs)
    own = settings(kind, out_features=out, in_features=inputs, group_size=group)
    tensors = laid(
        kind,
        codes,
        tables,
        residuals=residuals,
        outliers=apart,
        perm=order,
        norm=(scales, biases) if norm else None,
    )
    parts = Vectors(
        codes,
        tables.float64(),
        dtype,
        out,
        p=residuals[0] if residuals else None,
        r=residuals[1].float64() if residuals else None,
        o=apart[0] if apart else None,
        t=apart[1].float64() if apart else None,
        perm=order,
        s=scales.float64() if norm else None,
        b=biases.float64() if norm else None,
    )
    return common.sample(name, draw, alone(own), tensors, parts, options)
