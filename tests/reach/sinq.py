"""Codes with scales of rows and of columns, in rows or tiles."""

from __future__ import annotations

from typing import Any

from conformance.formats import strategies
from conformance.formats.module import Pack
from conformance.formats.registry import parts
from conformance.formats.sinq.packing import Crossed

from .common import TAKEN, Edges, codes

FLAGS = (
    *(f"{bits}bit" for bits in (1, 2, 3, 4, 5, 6, 8)),
    *("rows", "tiles", "viewed", "words", "apart", "plain", "one-zero", "zeros", "uniform", "nf3", "nf4"),
    *(f"scales-{kind}" for kind in ("ordinary", "negative", "subnormal", "zero", *strategies.SCALE_DTYPES)),
    *(f"is-{dtype}" for dtype in strategies.SCALE_DTYPES),
    *TAKEN,
)


def _crossed(pack: Pack) -> Any:
    found = parts(pack.config, pack.tensors)
    assert isinstance(found, Crossed)
    return found


EDGES: Edges = {
    "negative scales": lambda pack: bool((_crossed(pack).s < 0).any()),
    "scales of inputs of zero": lambda pack: 0 in _crossed(pack).c,
    "three dtypes": lambda pack: len(set(_crossed(pack).dtypes)) > 1,
    "outputs with scales of inputs of their own": lambda pack: pack.tensors["meta.scale2"].shape[0] > 1,
    "the highest bit of a word": lambda pack: pack.tensors["W_q"].dtype == "int32" and bool((codes(pack) < 0).any()),
}
