"""Where upstream readers or labels disagree, the answer this suite holds everybody to (reasons: docs/policies.md)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from ..bits.array import Array
from ..cases.case import Case
from ..cases.verdict import Verdict, asked
from ..corpus.fixtures import Vector, produced_vectors, vectors
from ..formats.module import Pack, Spelling
from ..formats.registry import FORMATS
from ..subjects.ask import decode
from ..subjects.subject import Subject
from .by_oracle import by_oracle


def disputed(vector: Vector) -> bool:
    return vector.format.disputed(vector.flags)


def expected(vector: Vector) -> Array:
    """The answer due for a disputed vector."""
    return vector.format.settled(vector.config, vector.tensors, vector.expected)


def pairs() -> Iterator[tuple[str, Spelling]]:
    """Modules that are stored in two ways, with the slug of their format."""
    for format in FORMATS.values():
        yield from ((format.SLUG, spelling) for spelling in format.spellings())


def disputes() -> Iterator[Case]:
    """Upstream's vectors whose readers disagree."""
    for vector in filter(disputed, vectors()):
        judge = asked(vector.config, vector.tensors, expected(vector))
        yield Case(vector.id, judge, vector.format.SLUG, "policies")


def produced() -> Iterator[Case]:
    """Vectors of other producers, held to what those read themselves."""
    for vector in produced_vectors():
        for reader, due in sorted(vector.expected.items()):
            judge = asked(vector.config, vector.tensors, due)
            yield Case(f"{vector.id}-{reader}", judge, vector.format.SLUG, "policies")


def spellings() -> Iterator[Case]:
    """One module stored in two ways, which must decode alike."""
    for slug, pair in pairs():
        plain = by_oracle(Pack(pair.plain_config, pair.plain, frozenset(), None))
        yield Case(pair.id, partial(_relayed, plain, pair.config, pair.tensors), slug, "policies")


def _relayed(plain: Any, config: Any, tensors: Any, subject: Subject, oracle: Subject) -> Verdict:
    return plain(_Relay(subject, config, tensors), oracle)


class _Relay:
    """A subject that is shown one module, and asked about another."""

    def __init__(self, subject: Subject, config: Any, tensors: Any) -> None:
        self.name, self.framework, self.refusals = subject.name, "array", subject.refusals
        self.info, self._ask = subject.info, partial(decode, subject, config, tensors)

    def dequantize(self, config: Any, tensors: Any, *, dtype: str | None = None) -> Array:
        answer = self._ask(dtype)
        if isinstance(answer, Array):
            return answer
        raise answer.error
