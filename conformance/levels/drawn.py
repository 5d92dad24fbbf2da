"""Generated packs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from hypothesis import HealthCheck, Phase, given, settings

from ..cases.case import Case
from ..cases.question import flags_of
from ..corpus import kept as examples
from ..formats.module import Pack
from ..formats.registry import FORMATS, known
from .by_oracle import by_oracle

STRATEGIES = {label: strategy for format in FORMATS.values() for label, strategy in format.strategies().items()}


def kept() -> Iterator[Case]:
    """The smallest generated packs that unmasked a mutant, kept so that no run depends on drawing them again."""
    for mutant, pack in examples.kept():
        yield _case(f"kept-{mutant}", pack)


@cache
def drawn(label: str, count: int) -> tuple[Pack, ...]:
    """The first packs of a derandomised run of one strategy."""
    found: list[Pack] = []

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(STRATEGIES[label])
    def collect(pack: Pack) -> None:
        found.append(pack)

    collect()
    return tuple(found)


@cache
def generated(count: int) -> tuple[Case, ...]:
    """Drawn packs of every strategy, the small ones first."""
    found = [(pack, f"{label}-{number}") for label in STRATEGIES for number, pack in enumerate(drawn(label, count))]
    found.sort(key=lambda item: sum(array.bits.size for array in item[0].tensors.values()))
    return tuple(_case(id, pack) for pack, id in found)


def _case(id: str, pack: Pack) -> Case:
    flags = flags_of(pack.config, pack.tensors, pack.dtype)
    return Case(id, by_oracle(pack), known(pack.config).SLUG, flags=flags)
