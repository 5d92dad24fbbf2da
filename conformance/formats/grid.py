"""What the grids of formats share: sizes of matrices, and how a module gets its scales, bias and output dtype."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np

from ..bits.array import FLOATS, Array
from .draw import Draw
from .module import Sample
from .parts import Parts

OUT, IN = 96, 256
# The flag of samples in the shapes below.
REAL_SIZE = "real-size"
SCALE_KINDS = ("negative", "subnormal", "huge", "zero", "any-finite")
SHAPES = {
    "square": (64, 64),
    "groups-times-8": (64, 256),
    "one-word": (8, 32),
    "odd-width": (40, 256),
    "wide": (32, 512),
    "tall": (256, 32),
}


# Layers of models that people run, as ([out, in], group size): one side whole, the other cut where few are enough.
REAL_SIZES: dict[str, tuple[tuple[int, int], int]] = {
    "7b-down_proj-g128": ((16, 11008), 128),
    "7b-down_proj-g-all": ((16, 11008), -1),
    "7b-o_proj-g512": ((16, 4096), 512),
    "7b-gate_proj-g32": ((11008, 32), 32),
    "8b-down_proj-g64": ((16, 14336), 64),
    "14b-gate_proj-g32": ((13696, 32), 32),
    "70b-down_proj-g128": ((8, 28672), 128),
    "70b-gate_proj-g32": ((28672, 32), 32),
    "moe-expert-g64": ((768, 1408), 64),
}


def variations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(name, dtype of the scales, options) of what every format is asked at group size 32."""
    for dtype, kind in product(FLOATS, SCALE_KINDS):
        yield f"{kind}-scales-{dtype}", dtype, {"scales": kind}
    for dtype, output in product(FLOATS, FLOATS):
        if dtype != output:
            yield f"{dtype}-to-{output}", dtype, {"scales": "any-finite", "output": output}
    for name, shape in SHAPES.items():
        yield f"shape-{name}", "float16", {"shape": shape}
    for bias in ("zero", "real"):
        yield f"bias-{bias}", "float16", {"bias": bias}


def combined(row: Mapping[str, Any]) -> str:
    """The name of a module that joins options; what it says depends on them alone."""
    said = {"size": "g{}", "output": "to-{}", "bias": "bias-{}", "version": "v{}", "bits": "{}bit"}
    words = []
    for key, value in row.items():
        if key == "sym":
            words.append("sym" if value else "asym")
        elif key == "shape":
            words.append("x".join(map(str, value)))
        elif value is not None:
            words.append(said.get(key, "{}").format(value))
    return "-".join(["joined", *words])


def arbitrary(draw: Draw, consecutive: np.ndarray) -> np.ndarray:
    """A group for each input at will, of several: groups are never of the sizes that they have in order."""
    last = int(consecutive[-1])
    g = draw.below(last + 1, len(consecutive))
    if np.array_equal(np.sort(g), consecutive):
        g[np.argmax(g != last)] = last
    return g


def sample(
    name: str, draw: Draw, config: dict[str, Any], tensors: dict[str, Array], parts: Parts, options: dict[str, Any]
) -> Sample:
    """The module with the bias, the output dtype and the flags that its options ask for."""
    if bias := options.get("bias"):
        kind = "zero" if bias == "zero" else "ordinary"
        tensors = tensors | {"bias": draw.scales(parts.dtype, kind, parts.shape[0])}
    kind = options.get("scales", "ordinary")
    flags = set() if kind == "ordinary" else {f"{kind}-scales"}
    flags |= {REAL_SIZE} if options.get("real_size") else set()
    return Sample(name, config, tensors, parts, options.get("output"), frozenset(flags))
