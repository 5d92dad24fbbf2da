"""Codes of half a byte and of a quarter, in rows of a group each."""

from __future__ import annotations

from typing import Any

from conformance.formats import strategies
from conformance.formats.module import Pack
from conformance.formats.quanto_int4.packing import CODES, SCALES, Lowered
from conformance.formats.registry import parts

from .common import TAKEN, Edges

FLAGS = (
    *("4bit", "2bit"),
    *(f"scales-{kind}" for kind in (*strategies.SCALE_KINDS, *strategies.SCALE_DTYPES)),
    *(f"shifts-{kind}" for kind in ("ordinary", "negative", "subnormal", "zero")),
    *TAKEN,
)


def _lowered(pack: Pack) -> Any:
    found = parts(pack.config, pack.tensors)
    assert isinstance(found, Lowered)
    return found


EDGES: Edges = {
    "negative scales": lambda pack: bool((_lowered(pack).s < 0).any()),
    "scales of zero": lambda pack: 0 in _lowered(pack).s,
    "negative shifts": lambda pack: bool((_lowered(pack).z < 0).any()),
    "several groups an output": lambda pack: _lowered(pack).size < _lowered(pack).shape[1],
    "bytes that are not full": lambda pack: bool(len(pack.tensors[SCALES].bits) % (8 // _lowered(pack).bits)),
    "groups of odd length": lambda pack: bool(pack.tensors[CODES].shape[1] % 4),
    "one output": lambda pack: _lowered(pack).shape[0] == 1,
}
