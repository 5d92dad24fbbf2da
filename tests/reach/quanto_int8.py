"""Signed bytes and a scale an output."""

from __future__ import annotations

from conformance.formats import strategies
from conformance.formats.registry import integers

from .common import TAKEN, Edges

FLAGS = (*(f"scales-{kind}" for kind in (*strategies.SCALE_KINDS, *strategies.SCALE_DTYPES)), *TAKEN)
EDGES: Edges = {
    "negative scales": lambda pack: bool((integers(pack.config, pack.tensors).s < 0).any()),
    "scales of zero": lambda pack: 0 in integers(pack.config, pack.tensors).s,
    "the least code": lambda pack: 0 in integers(pack.config, pack.tensors).q,
    "one output": lambda pack: integers(pack.config, pack.tensors).shape[0] == 1,
    "rows of odd length": lambda pack: bool(integers(pack.config, pack.tensors).shape[1] % 4),
}
