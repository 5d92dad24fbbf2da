"""Ternary codes, and one scale that divides or multiplies."""

from __future__ import annotations

from conformance.formats import strategies
from conformance.formats.bitnet.packing import FORMS
from conformance.formats.registry import integers

from .common import TAKEN, Edges

FLAGS = (*FORMS, *(f"scales-{kind}" for kind in (*strategies.SCALE_KINDS, *strategies.SCALE_DTYPES)), *TAKEN)
EDGES: Edges = {
    "negative scales": lambda pack: bool((integers(pack.config, pack.tensors).s < 0).any()),
    "scales of zero": lambda pack: 0 in integers(pack.config, pack.tensors).s,
    "the code that no packer writes": lambda pack: 3 in integers(pack.config, pack.tensors).q,
    "one row of bytes": lambda pack: integers(pack.config, pack.tensors).shape[0] == 4,
    "rows of odd length": lambda pack: bool(integers(pack.config, pack.tensors).shape[1] % 4),
}
