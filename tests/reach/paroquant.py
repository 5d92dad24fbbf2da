"""Inputs that are scaled and turned in pairs."""

from __future__ import annotations

from typing import Any

from conformance.formats import strategies
from conformance.formats.module import Pack
from conformance.formats.paroquant.packing import ANGLES, COLUMNS
from conformance.formats.paroquant.strategy import ROTATIONS
from conformance.formats.registry import parts

from .common import SCALES, TAKEN, Edges


def numbers(pack: Pack) -> Any:
    return parts(pack.config, pack.tensors)


FLAGS = (
    *(f"g{size}" for size in strategies.GROUP_SIZES),
    *(f"scales-{kind}" for kind in (*strategies.SCALE_KINDS, *strategies.SCALE_DTYPES)),
    *("square", "groups-times-8", "other", "wide-angles"),
    *(f"{krot}-rotations" for krot in ROTATIONS),
    *(f"angles-{dtype}" for dtype in strategies.SCALE_DTYPES),
    *TAKEN,
)
EDGES: Edges = {
    **SCALES,
    "angles of zero": lambda pack: bool((pack.tensors[ANGLES].float64() == 0).any()),
    "negative scales of inputs": lambda pack: bool((pack.tensors[COLUMNS].float64() < 0).any()),
    "a zero point of 0": lambda pack: 0 in numbers(pack).codes.z,
    "one group": lambda pack: len(numbers(pack).codes.s) == 1,
    "several groups": lambda pack: len(numbers(pack).codes.s) > 1,
    "no number of rotations": lambda pack: "krot" not in pack.config,
}
