"""Codes of 2, 4 and 8 bits with a scale an output, of linear modules and of embeddings."""

from __future__ import annotations

from conformance.formats import strategies
from conformance.formats.registry import integers

from .common import SCALES, TAKEN, Edges

FLAGS = (
    *("2bit", "4bit", "8bit", "linear", "embedding"),
    *(f"scales-{kind}" for kind in strategies.SCALE_KINDS),
    *TAKEN,
)
EDGES: Edges = {
    **{edge: SCALES[edge] for edge in ("negative scales", "scales of zero")},
    "the least code": lambda pack: bool((integers(pack.config, pack.tensors).q == 0).any()),
    "one output": lambda pack: integers(pack.config, pack.tensors).shape[0] == 1,
    "rows that do not fill a word": lambda pack: (
        integers(pack.config, pack.tensors).shape[1] * integers(pack.config, pack.tensors).bits % 32 > 0
    ),
}
