"""The smallest generated pack on which a mutant is caught, to be kept as an example."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random
from typing import Any

from hypothesis import HealthCheck, find, settings
from hypothesis.errors import NoSuchExample

from ..formats.module import Pack
from ..formats.registry import named
from ..levels.by_oracle import by_oracle
from ..levels.drawn import strategies_of
from ..mutants import MUTANTS, Mutant, Subject

_SETTINGS = settings(
    max_examples=600, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)


def smallest(mutant: Mutant, oracle: Any) -> Pack | None:
    """Shrunk as far as Hypothesis gets, by the first strategy of the mutant's formats that finds one; None without."""
    subject = Subject(mutant, oracle)

    def catches(pack: Pack) -> bool:
        return bool(by_oracle(pack)(subject, oracle).complaint)

    for strategy in [s for format in named(mutant.formats) for s in strategies_of(format).values()]:
        try:
            return find(strategy, catches, settings=_SETTINGS, random=Random(0))
        except NoSuchExample:
            continue
    return None


def every(oracle: Any, mutants: Iterable[Mutant] = MUTANTS) -> Iterator[tuple[str, Pack]]:
    """Of every mutant of single modules that some generated pack catches."""
    for mutant in mutants:
        if mutant.decode is not None and (pack := smallest(mutant, oracle)):
            yield mutant.id, pack
