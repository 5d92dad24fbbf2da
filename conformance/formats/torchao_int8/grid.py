"""The grid of torchao's bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import FLOATS, Array
from .. import grid as common
from ..covering import rows
from ..draw import Draw
from ..module import Sample, Unmade, unmade
from .packing import BYTES, NARROW, Stepped, described, entry, pack, without_zeros

SMOKE = "plain"
OPTIONS: dict[str, tuple[Any, ...]] = {
    "kind": (BYTES, NARROW),
    "size": (32, 64, 128, -1),
    "zeros": (False, True),
    "dtype": FLOATS,
    "stored": FLOATS,
    "scales": ("ordinary", *common.SCALE_KINDS),
    "bias": (None, "zero", "real"),
    "output": (None, *FLOATS),
}
THREEFOLD = ("dtype", "stored", "output")
APART: tuple[Any, ...] = ()


def grid() -> Iterator[Unmade]:
    yield _sample("plain")
    for name, shape in common.SHAPES.items():
        yield _sample(f"shape-{name}", shape=shape)
    for row in rows(OPTIONS, THREEFOLD, APART):
        yield _sample(_named(row), **row)
    for name, (shape, size) in common.REAL_SIZES.items():
        yield _sample(name, shape=shape, size=size, real_size=True)
    for name, shape, block in (
        ("tensor", (96, 256), (96, 256)),
        ("blocks", (96, 256), (8, 64)),
        ("blocks-of-rows", (96, 256), (32, 1)),
        ("g16", (96, 256), (1, 16)),
        ("g256", (40, 512), (1, 256)),
        ("odd", (37, 67), (1, 67)),
        ("odd-tensor", (37, 67), (37, 67)),
    ):
        yield _sample(name, shape=shape, block=block)
    for bits in range(1, 8):
        yield _sample(f"{bits}bit", kind=NARROW, bits=bits)


def _named(row: dict[str, Any]) -> str:
    words = ["joined", "narrow" if row["kind"] == NARROW else "bytes", f"g{row['size']}"]
    words += ["asym" if row["zeros"] else "sym", row["dtype"], "scales", row["stored"], row["scales"]]
    words += [f"bias-{row['bias']}"] if row["bias"] else []
    return "-".join(words + ([f"to-{row['output']}"] if row["output"] else []))


@unmade
def _sample(
    name: str,
    *,
    kind: str = BYTES,
    size: int = -1,
    block: tuple[int, int] | None = None,
    zeros: bool = True,
    dtype: str = "bfloat16",
    stored: str = "float32",
    bits: int = 8,
    **options: Any,
) -> Sample:
    draw, (out, in_features) = Draw(f"torchao_int8-{name}"), options.get("shape", (common.OUT, common.IN))
    tall, wide = block or (1, in_features if size == -1 else size)
    groups, own = in_features // wide, out // tall
    # Codes of fewer bits stand in the middle of a byte's range.
    limit, least = 1 << bits, 128 - (1 << bits) // 2
    q, z = draw.below(limit, out, in_features) + least, draw.below(limit, groups, own) + least
    scales = draw.scales(stored, options.get("scales", "ordinary"), groups, own)
    z = np.repeat(z if zeros else np.full_like(z, 128), tall, axis=1)
    spread = Array(stored, np.repeat(scales.bits, tall, axis=1))
    changes = {"target_dtype": {"_type": "torch.dtype", "_data": f"int{bits}"}} if kind == NARROW else {}
    said = entry(kind, (tall, wide), dtype, **changes)
    config = described(said if zeros else without_zeros(said))
    parts = Stepped(q, z, spread.float64(), np.arange(in_features) // wide, dtype, 8, stored)
    return common.sample(name, draw, config, pack(q, z, spread, rows=tall, without=not zeros), parts, options)
