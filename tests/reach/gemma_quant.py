"""Rows of bytes of three widths, under a scale an output."""

from __future__ import annotations

from conformance.formats import strategies
from conformance.formats.registry import integers

from .common import TAKEN, Edges

FLAGS = (
    *("2bit", "4bit", "8bit", "linear", "embedding"),
    *(f"scales-{kind}" for kind in strategies.SCALE_KINDS),
    *TAKEN,
)
EDGES: Edges = {
    "negative scales": lambda pack: bool((integers(pack.config, pack.tensors).s < 0).any()),
    "scales of zero": lambda pack: bool((integers(pack.config, pack.tensors).s == 0).any()),
    "the least code": lambda pack: bool((integers(pack.config, pack.tensors).q == 0).any()),
    "one output": lambda pack: integers(pack.config, pack.tensors).shape[0] == 1,
    "rows that do not fill a word": lambda pack: (
        integers(pack.config, pack.tensors).shape[1] * integers(pack.config, pack.tensors).bits % 32 > 0
    ),
}
