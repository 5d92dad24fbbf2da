"""Modules that upstream packed, held to what upstream reads from them."""

from __future__ import annotations

from collections.abc import Iterator

from ..cases.case import Case
from ..cases.verdict import asked
from ..corpus.fixtures import vectors
from .policies import disputed


def upstream() -> Iterator[Case]:
    """Vectors packed and read by the upstream packages, one case a reader."""
    for vector in vectors():
        if not disputed(vector):
            for reader, expected in sorted(vector.expected.items()):
                judge = asked(vector.config, vector.tensors, expected, vector.dtype)
                yield Case(f"{vector.id}-{reader}", judge, vector.format.SLUG)
