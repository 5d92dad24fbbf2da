"""What torchao's MX and NVFP4 are called, what lies in their fixtures, and what can be seen of one of their modules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.floats import E2M1, E4M3
from ..domain import Domain
from ..module import Files
from ..parts import Config, Tensors
from ..scaled import SMALL, ScaledDomain
from ..torchao_int8.packing import described
from .domain import Under
from .packing import (
    ACTIVATIONS,
    CODES,
    FOURS,
    METHOD,
    MX,
    MXFP4,
    MXFP8,
    NVFP4,
    SCALES,
    WHOLE,
    entry,
    is_swizzled,
    kind_of,
    parts,
    stored,
)

ID, SLUG, TITLE = "torchao_mx", "torchao_mx", "torchao's MX and NVFP4"
MARKS = (CODES,)
LEAVES = (CODES, SCALES, WHOLE, ACTIVATIONS)
NOT_APPLICABLE = {"affine": "a float times a scale has no whole numbers; MLX's own modes are compared in tests/core"}
FILES = Files(
    vectors=("torchao-0.18.0",),
    checkpoints=("qwen2-torchao-mx",),
    heard=("qwen2-torchao-mx",),
    digests=("torchao-0.18.0",),
)
# Scales are small floats, always.
COLUMNS: dict[str, tuple[str, ...]] = {
    "MXFP8": ("torchao-mxfp8",),
    "MXFP4": ("torchao-mxfp4",),
    "NVFP4": ("torchao-nvfp4",),
    "bfloat16 scales": (),
    "float32 scales": (),
}
BRIEF: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {"torchao's MX and NVFP4": ((), ())}
# Scales of the matrix: none, an ordinary one with all of its bits in use, and those that make products small and large.
WHOLE_SCALES = {"none": 0.0, "ordinary": 0.00012345679, "small": 1.1754944e-38 * 5, "large": 3.1e34}


def names(config: Config) -> bool:
    method = str(config.get("quant_method") or config.get("method")).lower()
    return method == METHOD and _class(config) in (MX, NVFP4)


def _class(config: Config) -> Any:
    """What the header names; None where it is no such thing."""
    entries = config.get("metadata")
    try:
        found = json.loads(entries["weight"]) if isinstance(entries, dict) else None
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    return found.get("_type") if isinstance(found, dict) else None


def said_width(config: Config) -> Any:
    try:
        return 8 if kind_of(config) == MXFP8 else 4
    except (KeyError, TypeError):
        return None


def domains() -> Iterator[Domain]:
    """All codes of each kind with all bytes of a scale, NVFP4's under some scales of the matrix."""

    def of(kind: str, swizzled: bool) -> Any:
        def made(codes: np.ndarray, scales: Array) -> tuple[dict[str, Any], dict[str, Array]]:
            config = described(entry(kind, swizzled=swizzled))
            return config, stored(config, codes, np.repeat(scales.bits[:, None], codes.shape[1] // 32, axis=1))

        return made

    yield ScaledDomain(f"{SLUG}-{MXFP4}", E2M1, (SMALL,), (SMALL,), of(MXFP4, True), parts)
    yield ScaledDomain(f"{SLUG}-{MXFP8}", E4M3, (SMALL,), (SMALL,), of(MXFP8, False), parts)
    for label, whole in WHOLE_SCALES.items():
        yield Under(f"{SLUG}-{FOURS}-{label}", described(entry(FOURS, whole=whole > 0)), whole)


def flags(config: Config, tensors: Tensors) -> set[str]:
    kind = kind_of(config)
    found = {f"torchao-{kind}", "bits-8" if kind == MXFP8 else "bits-4"}
    if is_swizzled(config):
        found.add("swizzled")
    return found | ({"scale-of-the-matrix"} if WHOLE in tensors else set())
