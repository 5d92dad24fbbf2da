"""Vectors of outputs in codebooks, with residuals, outliers and an order of inputs."""

from __future__ import annotations

from typing import Any

from conformance.formats import strategies
from conformance.formats.module import Pack
from conformance.formats.registry import parts
from conformance.formats.vptq.strategy import BITS, VECTORS

from .common import TAKEN, Edges


def numbers(pack: Pack) -> Any:
    return parts(pack.config, pack.tensors)


FLAGS = (
    *(f"scales-{kind}" for kind in (*strategies.SCALE_KINDS, *strategies.SCALE_DTYPES)),
    *(f"{bits}bit" for bits in BITS),
    *(f"{books}-codebooks" for books in range(1, 4)),
    *(f"vectors-{vector}" for vector in VECTORS),
    "residuals",
    "outliers",
    "ordered",
    "not-scaled",
    *TAKEN,
)
EDGES: Edges = {
    "outputs that do not fill vectors": lambda pack: numbers(pack).out % numbers(pack).e.shape[2] != 0,
    "words that end in padding": lambda pack: bool(
        pack.tensors["indices"].shape[2] * 32 > numbers(pack).q.shape[2] * (numbers(pack).e.shape[1] - 1).bit_length()
    ),
    "the last entry": lambda pack: bool((numbers(pack).q == numbers(pack).e.shape[1] - 1).any()),
    "inputs out of order": lambda pack: (
        numbers(pack).perm is not None and bool((numbers(pack).perm[:-1] > numbers(pack).perm[1:]).any())
    ),
    "one row of vectors": lambda pack: numbers(pack).q.shape[1] == 1,
}
