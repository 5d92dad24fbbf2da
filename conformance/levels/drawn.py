"""Generated packs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache

from hypothesis import HealthCheck, Phase, given, settings

from ..cases.case import Case
from ..cases.question import flags_of
from ..corpus import kept as examples
from ..formats.module import Pack
from ..formats.registry import BY_SLUG, FORMATS, known
from .by_oracle import by_oracle
from .grid import joined

STRATEGIES = {label: strategy for format in FORMATS.values() for label, strategy in format.strategies().items()}


@cache
def kept() -> tuple[Case, ...]:
    """The smallest generated packs that unmasked a mutant, kept so that no run depends on drawing them again."""
    return tuple(_case(f"kept-{mutant}", pack) for mutant, pack in examples.kept())


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


def met(count: int, formats: Iterable[str] | None = None) -> Iterator[Case]:
    """What mutants meet, those that err in some formats by their slugs: nothing is drawn before it is reached."""
    yield from kept()
    yield from generated(count, formats)
    yield from joined()


def generated(count: int, formats: Iterable[str] | None = None) -> tuple[Case, ...]:
    """Drawn packs of every strategy, or of those of some formats by their slugs, the small ones first."""
    wanted = BY_SLUG.keys() if formats is None else set(formats)
    found = [pair for slug in BY_SLUG if slug in wanted for pair in _generated(slug, count)]
    return tuple(case for _, case in sorted(found, key=lambda pair: pair[0]))


@cache
def _generated(slug: str, count: int) -> tuple[tuple[int, Case], ...]:
    """Those of one format with their sizes."""
    return tuple(
        (sum(array.bits.size for array in pack.tensors.values()), _case(f"{label}-{number}", pack))
        for label in BY_SLUG[slug].strategies()
        for number, pack in enumerate(drawn(label, count))
    )


def _case(id: str, pack: Pack) -> Case:
    flags = flags_of(pack.config, pack.tensors, pack.dtype)
    return Case(id, by_oracle(pack), known(pack.config).SLUG, flags=flags)
