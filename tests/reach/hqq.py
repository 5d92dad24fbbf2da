"""Codes that are folded along either axis, with floats for zero points."""

from __future__ import annotations

from typing import Any

from conformance.formats import strategies
from conformance.formats.hqq.packing import Zeroed
from conformance.formats.module import Pack
from conformance.formats.registry import parts

from .common import TAKEN, Edges, codes

FLAGS = (
    *(f"{bits}bit" for bits in (1, 2, 3, 4, 8)),
    *("axis-0", "axis-1", "viewed", "words"),
    *(f"scales-{kind}" for kind in (*strategies.SCALE_KINDS, *strategies.SCALE_DTYPES)),
    *TAKEN,
)


def _zeroed(pack: Pack) -> Any:
    found = parts(pack.config, pack.tensors)
    assert isinstance(found, Zeroed)
    return found


EDGES: Edges = {
    "negative scales": lambda pack: bool((_zeroed(pack).s < 0).any()),
    "scales of zero": lambda pack: 0 in _zeroed(pack).s,
    "zero points that are no code": lambda pack: bool((_zeroed(pack).z < 0).any()),
    "groups across rows": lambda pack: _zeroed(pack).size is None and bool(pack.tensors["axis"].bits.item()),
    "one row of what is folded": lambda pack: pack.tensors["scale"].bits.size == 1,
    "the highest bit of a word": lambda pack: pack.tensors["W_q"].dtype == "int32" and bool((codes(pack) < 0).any()),
}
