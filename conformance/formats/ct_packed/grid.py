"""The grid of ``pack-quantized``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import FLOATS, Array
from .. import grid as common
from ..covering import Apart, Options, rows
from ..dialects import compressed_tensors as dialect
from ..draw import Draw
from ..module import Sample, Unmade, unmade
from ..parts import Integer
from .addresses import OLD
from .packing import FORMAT, WIDTHS, pack

SMOKE = "g128-asym-float16"
SIZES = (32, 64, 128, -1)
# In place of a group size: one scale for all.
TENSOR = "tensor"

OPTIONS: Options = {
    "bits": WIDTHS,
    "size": (32, 128, 16, -1, TENSOR),
    "sym": (False, True),
    "dtype": FLOATS,
    "old": (False, True),
    "map": ("absent", "sequential", "act-order", "arbitrary", "minus-one"),
    "scales": ("ordinary", *common.SCALE_KINDS),
    "output": (None, *FLOATS),
    "bias": (None, "zero", "real"),
    "shape": ((common.OUT, common.IN), (40, common.IN)),
}
THREEFOLD = ("bits", "old", "map")
_NO_MAPS = "a map was written by the releases that padded words"
_ONE = "one group has no map"
APART: Apart = (
    *(({"old": False, "map": map}, _NO_MAPS) for map in OPTIONS["map"][1:]),
    *(({"size": size, "map": map}, _ONE) for size in (-1, TENSOR) for map in OPTIONS["map"][1:]),
)


def grid() -> Iterator[Unmade]:
    for size in SIZES:
        for sym in (False, True):
            for dtype in FLOATS:
                yield _sample(f"g{size}-{'sym' if sym else 'asym'}-{dtype}", size, sym=sym, dtype=dtype)
    for name, dtype, options in common.variations():
        yield _sample(name, 32, dtype=dtype, **options)
    for name, (shape, size) in common.REAL_SIZES.items():
        yield _sample(name, size, dtype="bfloat16", shape=shape, real_size=True)
    yield _sample("5bit-7b-down_proj-g32-old", 32, bits=5, shape=(8, 11008), old=True, real_size=True)
    for bits in WIDTHS:
        yield from _width(bits)
    for row in rows(OPTIONS, THREEFOLD, APART):
        tensor, map = row["size"] == TENSOR, row["map"]
        own = {key: value for key, value in row.items() if key not in ("size", "map")}
        own |= {"tensor": tensor, "map": "" if map == "absent" else map}
        said = row | {"old": "old" if row["old"] else None}
        yield _sample(common.combined(said), -1 if tensor else row["size"], **own)


def _width(bits: int) -> Iterator[Unmade]:
    prefix = "" if bits == WIDTHS[0] else f"{bits}bit-"
    for number, size in enumerate((16, *SIZES, 256)):
        for sym in (False, True):
            dtype, name = FLOATS[(number + sym) % 3], f"{prefix}size-{size}-{'sym' if sym else 'asym'}"
            yield _sample(name, size, bits=bits, sym=sym, dtype=dtype)
    for sym in (False, True):
        yield _sample(f"{prefix}tensor-{'sym' if sym else 'asym'}", -1, bits=bits, sym=sym, tensor=True)
    for map in ("sequential", "act-order", "arbitrary"):
        yield _sample(f"{prefix}{map}", 32, bits=bits, map=map, old=True)
    yield _sample(f"{prefix}map-all-minus-one", 32, bits=bits, map="minus-one", old=True)
    for out, in_features in ((40, 72), (37, 67), (100, 33)):
        shape = (out, in_features)
        yield _sample(f"{prefix}ragged-{out}x{in_features}", -1, bits=bits, shape=shape)
        yield _sample(f"{prefix}ragged-{out}x{in_features}-old", -1, bits=bits, shape=shape, old=True)
    yield _sample(f"{prefix}old-g64", 64, bits=bits, old=True)


@unmade
def _sample(
    name: str,
    size: int,
    *,
    bits: int = 4,
    sym: bool = False,
    dtype: str = "float16",
    map: str = "",
    old: bool = False,
    tensor: bool = False,
    **options: Any,
) -> Sample:
    draw, (out, in_features) = Draw(f"ct_packed-{name}"), options.get("shape", (common.OUT, common.IN))
    limit, groups = 1 << bits, 1 if size == -1 else in_features // size
    g = np.arange(in_features) // (in_features if size == -1 else size)
    stored = None
    if map:
        g = {"act-order": draw.shuffled(g), "arbitrary": draw.below(groups, in_features)}.get(map, g)
        stored = np.full(in_features, -1) if map == "minus-one" else g
    q, z = draw.below(limit, out, in_features), draw.below(limit, groups, 1 if tensor else out)
    z = np.broadcast_to(np.full_like(z, limit // 2) if sym else z, (groups, out))
    scales = draw.scales(dtype, options.get("scales", "ordinary"), groups, 1 if tensor else out)
    changes: dict[str, Any] = {"symmetric": sym} | ({"actorder": "group"} if map else {})
    changes |= {"strategy": "tensor"} if tensor else {}
    config = dialect.config(FORMAT, bits, size, release=OLD if old else "", **changes)
    wide = Array(scales.dtype, np.ascontiguousarray(np.broadcast_to(scales.bits, (groups, out))))
    tensors = pack(q, z, wide, stored, bits=bits, padded=old, symmetric=sym)
    if tensor:
        tensors["weight_scale"] = Array(scales.dtype, scales.bits.reshape(1))
        if not sym:
            tensors["weight_zero_point"] = Array.of((z[0, :1] - limit // 2).astype(np.int8))
    return common.sample(name, draw, config, tensors, Integer.of(q, z, wide, g, bits), options)
