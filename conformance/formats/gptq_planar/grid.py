"""The grid of planar GPTQ."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from ...bits.array import FLOATS
from .. import grid as common
from ..covering import Apart, Options, rows
from ..draw import Draw
from ..module import Sample, Unmade, unmade
from ..parts import Integer
from .packing import BLOCKS, WIDTHS, config, pack

SMOKE = "g128-sequential-asym-float16"
MAPS = ("no-g_idx", "sequential", "act-order", "arbitrary")

OPTIONS: Options = {
    "bits": WIDTHS,
    "size": (32, 128, 64, 16, -1),
    "map": MAPS,
    "dtype": FLOATS,
    "sym": (False, True),
    "scales": ("ordinary", *common.SCALE_KINDS),
    "output": (None, *FLOATS),
    "bias": (None, "zero", "real"),
    "shape": ((common.OUT, common.IN), (32, 192)),
}
THREEFOLD = ("bits", "size", "map")
APART: Apart = (({"map": "arbitrary", "size": -1}, "one group leaves nothing to choose"),)


def grid() -> Iterator[Unmade]:
    for bits in WIDTHS:
        for size, kind in product((32, 128, -1), MAPS[1:3]):
            for sym in (False, True) if bits in BLOCKS else (False,):
                dtype = FLOATS[((32, 128, -1).index(size) + MAPS.index(kind) + sym) % 3]
                dtype = "float16" if (size, kind, sym) == (128, "sequential", False) else dtype
                name = f"g{size}-{kind}-{'sym' if sym else 'asym'}-{dtype}"
                yield _sample(_name(bits, name), size, kind, bits=bits, sym=sym, dtype=dtype)
        if bits in BLOCKS:
            yield _sample(_name(bits, "ragged-act-order"), 96, "act-order", bits=bits)
            yield _sample(
                _name(bits, "7b-down_proj-g32"), 32, "act-order", bits=bits, shape=(32, 11008), real_size=True
            )
        else:
            yield _sample(_name(bits, "padded-37x67"), 32, "sequential", bits=bits, shape=(37, 67))
    for name, dtype, options in common.variations():
        # Blocks have 32 outputs.
        if options.get("shape", (32, 32))[0] % 32 == 0:
            yield _sample(name, 32, "sequential", dtype=dtype, **options)
    for name, ((out, inputs), size) in common.REAL_SIZES.items():
        yield _sample(name, size, "sequential", shape=(max(out, 32), inputs), real_size=True)
    for row in rows(OPTIONS, THREEFOLD, APART):
        own = {key: value for key, value in row.items() if key not in ("size", "map")}
        yield _sample(common.combined(row), row["size"], row["map"], **own)


def _name(bits: int, name: str) -> str:
    return name if bits == WIDTHS[0] else f"{bits}bit-{name}"


@unmade
def _sample(
    name: str,
    size: int,
    kind: str,
    *,
    bits: int = WIDTHS[0],
    sym: bool = False,
    dtype: str = "float16",
    **options: Any,
) -> Sample:
    draw, (out, in_features) = Draw(f"gptq_planar-{name}"), options.get("shape", (common.OUT, common.IN))
    groups, limit = 1 if size == -1 else -(-in_features // size), 1 << bits
    consecutive = np.arange(in_features) // (in_features if size == -1 else size)
    g = consecutive
    if kind == "act-order":
        g = draw.shuffled(consecutive)
    elif kind == "arbitrary":
        g = common.arbitrary(draw, consecutive)
    z = np.full((groups, out), limit // 2) if sym else draw.below(limit, groups, out)
    q, scales = draw.below(limit, out, in_features), draw.scales(dtype, options.get("scales", "ordinary"), groups, out)
    settings = config(bits, size) | {"desc_act": kind in ("act-order", "arbitrary"), "sym": sym}
    tensors = pack(q, z, scales, None if kind == "no-g_idx" else g, bits=bits)
    return common.sample(name, draw, settings, tensors, Integer.of(q, z, scales, g, bits), options)
