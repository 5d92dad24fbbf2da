"""The grid of GPTQ: every option meets every other one that it could interact with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from ...bits.array import FLOATS
from .. import grid as common
from ..covering import Apart, Options, rows
from ..draw import Draw
from ..module import Sample, Unmade, unmade
from ..parts import Integer
from .packing import AUTOROUND_ALONE, WIDTHS, pack, spelled

SMOKE = "g128-sequential-sym-float16"
MAPS = ("no-g_idx", "sequential", "act-order", "arbitrary")

OPTIONS: Options = {
    "bits": WIDTHS,
    "size": (32, 128, 64, 16, -1),
    "map": MAPS,
    "dtype": FLOATS,
    "sym": (False, True),
    "version": (1, 2),
    "scales": ("ordinary", *common.SCALE_KINDS),
    "output": (None, *FLOATS),
    "bias": (None, "zero", "real"),
    # The second fills neither its last group nor, at most widths, its last word.
    "shape": ((common.OUT, common.IN), (40, 196)),
}
THREEFOLD = ("bits", "size", "map", "dtype")
APART: Apart = (
    ({"map": "arbitrary", "size": -1}, "one group leaves nothing to choose"),
    ({"map": "no-g_idx", "shape": (40, 196)}, "only g_idx says how many inputs there are where a word is not full"),
)


def grid() -> Iterator[Unmade]:
    for size, kind, sym, dtype in product((32, 64, 128, -1), MAPS, (True, False), FLOATS):
        if (size, kind) != (-1, "arbitrary"):
            name = f"g{size}-{kind}-{'sym' if sym else 'asym'}-{dtype}"
            yield _sample(name, size, kind, sym=sym, dtype=dtype)
    for kind in ("no-g_idx", "sequential", "act-order"):
        yield _sample(f"zero-point-0-{kind}", 32, kind, zero_point_0=True)
    for kind in ("sequential", "act-order"):
        yield _sample(f"ragged-{kind}", 96, kind)
    for name, spelling in (
        ("checkpoint_format", {"checkpoint_format": "gptq"}),
        ("format", {"format": "gptq"}),
        ("static_groups", {"static_groups": False, "true_sequential": True, "damp_percent": 0.01}),
    ):
        yield _sample(f"config-{name}", 32, "sequential", config=spelling)
    for name, dtype, options in common.variations():
        yield _sample(name, 32, "sequential", dtype=dtype, **options)
    for bits in WIDTHS:
        if bits != 4:
            yield from _width(bits)
        yield from _versions(bits)
        if bits not in AUTOROUND_ALONE:
            yield from _sizes(bits)
    yield from _real_sizes()
    yield from _combined()


def _name(bits: int, name: str) -> str:
    return name if bits == 4 else f"{bits}bit-{name}"


def _width(bits: int) -> Iterator[Unmade]:
    """What all widths are asked alike: each pair of options at least once."""
    for size, kind, sym in product((32, 64, 128, -1), MAPS, (True, False)):
        if (size, kind) != (-1, "arbitrary"):
            # The dtypes of the scales take turns, so that each meets every size, every map and both kinds of zeros.
            dtype = FLOATS[((32, 64, 128, -1).index(size) + MAPS.index(kind) + sym) % 3]
            name = f"g{size}-{kind}-{'sym' if sym else 'asym'}-{dtype}"
            yield _sample(_name(bits, name), size, kind, bits=bits, sym=sym, dtype=dtype)
    for kind in ("no-g_idx", "act-order"):
        yield _sample(_name(bits, f"zero-point-0-{kind}"), 32, kind, bits=bits, zero_point_0=True)
    for kind in ("sequential", "act-order"):
        yield _sample(_name(bits, f"ragged-{kind}"), 96, kind, bits=bits)
    if bits not in AUTOROUND_ALONE:
        for name, dtype, options in common.variations():
            yield _sample(_name(bits, name), 32, "sequential", bits=bits, dtype=dtype, **options)


def _versions(bits: int) -> Iterator[Unmade]:
    """Version 2, in which a zero point of 0 is nothing special; by both of its keys."""
    for kind, sym in product(("no-g_idx", "sequential", "act-order", "arbitrary"), (True, False)):
        key = "checkpoint_format" if sym else "format"
        options: dict[str, Any] = {"version": 2, "config": {key: "gptq_v2"}, "zero_point_0": not sym}
        yield _sample(_name(bits, f"v2-{kind}-{'sym' if sym else 'asym'}"), 32, kind, bits=bits, sym=sym, **options)
    for dtype in ("bfloat16", "float32"):
        options = {"version": 2, "config": {"checkpoint_format": "gptq_v2"}, "zero_point_0": True}
        yield _sample(_name(bits, f"v2-{dtype}"), 64, "act-order", bits=bits, dtype=dtype, **options)


def _sizes(bits: int) -> Iterator[Unmade]:
    """Group sizes beside the usual ones, and widths whose last word is not full: only g_idx knows the inputs."""
    for size, kind in product((16, 256, 512, 1024), ("sequential", "act-order")):
        yield _sample(_name(bits, f"g{size}-{kind}"), size, kind, bits=bits, shape=(32, max(256, 2 * size)))
    for out, in_features in ((40, 100), (37, 67), (100, 33)):
        shape = (out, in_features)
        yield _sample(_name(bits, f"padded-{out}x{in_features}"), 32, "sequential", bits=bits, shape=shape)
    yield _sample(_name(bits, "padded-act-order"), 16, "act-order", bits=bits, shape=(40, 84))
    yield _sample(_name(bits, "no-qzeros"), 32, "sequential", bits=bits, sym=True, qzeros=False)


def _real_sizes() -> Iterator[Unmade]:
    """Layers of real models; in act-order the inputs of a 7B model alone are more groups than 8 bits can number."""
    for name, (shape, size) in common.REAL_SIZES.items():
        yield _sample(name, size, "sequential", shape=shape, real_size=True)
    yield _sample("7b-down_proj-g32-no-g_idx", 32, "no-g_idx", shape=(8, 11008), real_size=True)
    yield _sample("70b-down_proj-g64-act-order", 64, "act-order", shape=(8, 28672), real_size=True)
    yield _sample("moe-expert-g32-act-order", 32, "act-order", shape=(768, 1408), real_size=True)
    for bits in WIDTHS:
        name = _name(bits, "7b-down_proj-g32-act-order")
        yield _sample(name, 32, "act-order", bits=bits, shape=(8, 11008), real_size=True)


def _combined() -> Iterator[Unmade]:
    """Every pair of options, and every triple where packing, scales and group map meet."""
    for row in rows(OPTIONS, THREEFOLD, APART):
        own = {key: value for key, value in row.items() if key not in ("size", "map")}
        own |= {"config": {"checkpoint_format": "gptq_v2"} if row["version"] == 2 else {}}
        yield _sample(common.combined(row), row["size"], row["map"], **own)


@unmade
def _sample(
    name: str,
    size: int,
    kind: str,
    *,
    bits: int = 4,
    version: int = 1,
    sym: bool = False,
    dtype: str = "float16",
    zero_point_0: bool = False,
    **options: Any,
) -> Sample:
    draw, (out, in_features) = Draw(f"gptq-{name}"), options.get("shape", (common.OUT, common.IN))
    groups = 1 if size == -1 else -(-in_features // size)
    consecutive = np.arange(in_features) // (in_features if size == -1 else size)
    g = consecutive
    if kind == "act-order":
        g = draw.shuffled(consecutive)
    elif kind == "arbitrary":
        g = draw.below(groups, in_features)
    # A zero point of 0 is stored as all ones, on which upstream's readers part: questions of its own.
    limit = 1 << bits
    z = draw.below(limit, groups, out) if zero_point_0 else 1 + draw.below(limit - 1, groups, out)
    z = np.full_like(z, limit // 2) if sym else z
    q = draw.below(limit, out, in_features)
    scales = draw.scales(dtype, options.get("scales", "ordinary"), groups, out)
    desc_act = kind in ("act-order", "arbitrary")
    config = {"quant_method": "gptq", "bits": bits, "group_size": size, "desc_act": desc_act, "sym": sym}
    tensors = pack(q, z, scales, None if kind == "no-g_idx" else g, bits=bits, version=version)
    if not options.get("qzeros", True):
        del tensors["qzeros"]
    found = Integer.of(q, z, scales, g, bits)
    sample = common.sample(name, draw, spelled(config | options.get("config", {})), tensors, found, options)
    zero = version == 1 and bool((z == 0).any())
    return replace(sample, flags=sample.flags | ({"zero-point-0"} if zero else set()))
