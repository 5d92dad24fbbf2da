"""Integers of 8 bits that scales of groups make, with 128 added."""

from __future__ import annotations

from conformance.formats import strategies
from conformance.formats.registry import integers

from .common import SCALES, TAKEN, Edges

FLAGS = (
    *(f"g{size}" for size in strategies.GROUP_SIZES),
    *(f"{what}-{kind}" for what in ("scales", "grown") for kind in strategies.SCALE_KINDS),
    *TAKEN,
)
EDGES: Edges = {
    **{edge: SCALES[edge] for edge in ("negative scales", "scales of zero")},
    "one group": lambda pack: pack.tensors["s_group"].bits.size == 0,
    "several groups": lambda pack: pack.tensors["s_group"].bits.size > 0,
    "the least integer": lambda pack: 0 in integers(pack.config, pack.tensors).q,
    "the largest integer": lambda pack: 255 in integers(pack.config, pack.tensors).q,
}
