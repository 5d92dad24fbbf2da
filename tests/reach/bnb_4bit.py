"""Blocks across the rows of a matrix, the last of them cut short."""

from __future__ import annotations

import numpy as np

from conformance.formats import strategies

from .common import FLOATS, TAKEN, Edges, blocks

FLAGS = (
    *("nf4", "fp4", "double"),
    *(f"stored-{dtype}" for dtype in ("uint8", "int8", *strategies.SCALE_DTYPES)),
    *(f"{what}-{dtype}" for what in ("is", "scales") for dtype in strategies.SCALE_DTYPES),
    *TAKEN,
)
EDGES: Edges = {
    **{edge: FLOATS[edge] for edge in ("negative scales", "scales of zero", "one block")},
    "a last block cut short": lambda pack: bool(blocks(pack).q.size % blocks(pack).block[1]),
    "blocks across rows": lambda pack: bool(blocks(pack).shape[1] % blocks(pack).block[1]),
    "rows of odd length": lambda pack: bool(blocks(pack).shape[1] % 2) and blocks(pack).shape[0] > 1,
    "an odd number of weights": lambda pack: bool(blocks(pack).q.size % 2),
    "every code": lambda pack: np.unique(blocks(pack).q).size == 16,
}
