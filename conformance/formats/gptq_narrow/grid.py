"""The grid of narrow words."""

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
from .packing import WIDTHS, WORDS, config, pack

SMOKE = "int8-g128-sequential-float16"
MAPS = ("no-g_idx", "sequential", "act-order", "arbitrary")

OPTIONS: Options = {
    "bits": WIDTHS,
    "word": tuple(WORDS),
    "size": (32, 128, 64, 16, -1),
    "map": MAPS,
    "dtype": FLOATS,
    "sym": (False, True),
    "version": (1, 2),
    "scales": ("ordinary", *common.SCALE_KINDS),
    "output": (None, *FLOATS),
    "bias": (None, "zero", "real"),
    # The second fills neither its last group nor, in some widths, its last word.
    "shape": ((common.OUT, common.IN), (43, 196)),
}
THREEFOLD = ("bits", "word", "size", "map")
APART: Apart = (
    ({"map": "arbitrary", "size": -1}, "one group leaves nothing to choose"),
    ({"map": "no-g_idx", "shape": (43, 196)}, "only g_idx says how many inputs there are where a word is not full"),
)


def grid() -> Iterator[Unmade]:
    for word, bits in product(WORDS, WIDTHS):
        for size, kind in product((32, 128, -1), MAPS[1:3]):
            dtype = FLOATS[((32, 128, -1).index(size) + MAPS.index(kind)) % 3]
            dtype = "float16" if (size, kind) == (128, "sequential") else dtype
            name = f"{word}-g{size}-{kind}-{dtype}"
            yield _sample(_name(bits, name), size, kind, bits=bits, word=word, dtype=dtype)
        options: dict[str, Any] = {"bits": bits, "word": word}
        yield _sample(_name(bits, f"{word}-padded-37x67"), 32, "sequential", shape=(37, 67), **options)
        yield _sample(_name(bits, f"{word}-padded-one-group"), -1, "act-order", shape=(45, 29), **options)
        # The words that there are hold more inputs than the groups do.
        yield _sample(_name(bits, f"{word}-padded-no-g_idx"), 5, "no-g_idx", shape=(33, 35), **options)
        shape = (8, 11008)
        yield _sample(_name(bits, f"{word}-7b-down_proj"), 32, "act-order", shape=shape, real_size=True, **options)
    for name, dtype, options in common.variations():
        yield _sample(name, 32, "sequential", dtype=dtype, **options)
    for name, (shape, size) in common.REAL_SIZES.items():
        yield _sample(name, size, "sequential", shape=shape, word="int16", real_size=True)
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
    word: str = "int8",
    version: int = 1,
    sym: bool = False,
    dtype: str = "float16",
    **options: Any,
) -> Sample:
    draw, (out, in_features) = Draw(f"gptq_narrow-{name}"), options.get("shape", (common.OUT, common.IN))
    groups, limit = 1 if size == -1 else -(-in_features // size), 1 << bits
    consecutive = np.arange(in_features) // (in_features if size == -1 else size)
    g = consecutive
    if kind == "act-order":
        g = draw.shuffled(consecutive)
    elif kind == "arbitrary":
        g = common.arbitrary(draw, consecutive)
    z = np.full((groups, out), limit // 2) if sym else draw.below(limit, groups, out)
    q, scales = draw.below(limit, out, in_features), draw.scales(dtype, options.get("scales", "ordinary"), groups, out)
    own: dict[str, Any] = {"desc_act": kind in ("act-order", "arbitrary"), "sym": sym}
    own |= {"checkpoint_format": "gptq_v2"} if version == 2 else {}
    tensors = pack(q, z, scales, None if kind == "no-g_idx" else g, bits=bits, word=word, version=version)
    found = Integer.of(q, z, scales, g, bits)
    return common.sample(name, draw, config(bits, size, word) | own, tensors, found, options)
