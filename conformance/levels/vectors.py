"""The levels of the suite as cases, so that its tests and the mutants' matrix put the same questions."""

from __future__ import annotations

from collections.abc import Iterator

from ..cases.case import Case
from ..cases.verdict import asked
from ..corpus.fixtures import vectors
from . import policies


def upstream() -> Iterator[Case]:
    """Vectors packed and read by the upstream packages, one case a reader."""
    for vector in vectors():
        if not policies.disputed(vector):
            for reader, expected in sorted(vector.expected.items()):
                yield Case(f"{vector.id}-{reader}", asked(vector.config, vector.tensors, expected))
