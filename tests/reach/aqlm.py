"""Blocks that are sums of entries of codebooks."""

from __future__ import annotations

from typing import Any

import numpy as np

from conformance.formats import strategies
from conformance.formats.aqlm.packing import BOOKS, CODES
from conformance.formats.aqlm.strategy import BITS, BLOCKS
from conformance.formats.module import Pack
from conformance.formats.registry import parts

from .common import TAKEN, Edges


def numbers(pack: Pack) -> Any:
    return parts(pack.config, pack.tensors)


FLAGS = (
    *(f"scales-{kind}" for kind in (*strategies.SCALE_KINDS, *strategies.SCALE_DTYPES)),
    *(f"{bits}bit" for bits in BITS),
    *(f"{books}-codebooks" for books in range(1, 5)),
    *(f"blocks-{rows}x{columns}" for rows, columns in BLOCKS),
    "other-bits",
    *TAKEN,
)
EDGES: Edges = {
    "negative scales": lambda pack: bool((numbers(pack).s < 0).any()),
    "scales of zero": lambda pack: bool((numbers(pack).s == 0).any()),
    "negative codes": lambda pack: bool((pack.tensors[CODES].bits < 0).any()),
    "the last entry": lambda pack: bool((numbers(pack).q == pack.tensors[BOOKS].shape[1] - 1).any()),
    "entries of either sign": lambda pack: bool((numbers(pack).e < 0).any() and (numbers(pack).e > 0).any()),
    "one row of blocks": lambda pack: numbers(pack).q.shape[0] == 1,
    "a sum that is rounded": lambda pack: bool(
        (np.float32(numbers(pack).dense(None).float64()) != numbers(pack).matrix(numbers(pack).sums())).any()
    ),
}
