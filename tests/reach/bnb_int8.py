"""A scale an output."""

from __future__ import annotations

from typing import Any

from conformance.formats import strategies
from conformance.formats.bnb_int8.packing import Rows
from conformance.formats.module import Pack
from conformance.formats.registry import parts

from .common import TAKEN, Edges

FLAGS = ("no-weight_format", *(f"scales-{kind}" for kind in strategies.SCALE_KINDS), *TAKEN)


def _rows(pack: Pack) -> Any:
    found = parts(pack.config, pack.tensors)
    assert isinstance(found, Rows)
    return found


EDGES: Edges = {
    "negative scales": lambda pack: bool((_rows(pack).s < 0).any()),
    "scales of zero": lambda pack: 0 in _rows(pack).s,
    "the least code": lambda pack: -128 in _rows(pack).q,
    "one output": lambda pack: _rows(pack).shape[0] == 1,
    "square": lambda pack: _rows(pack).shape[0] == _rows(pack).shape[1] > 1,
}
