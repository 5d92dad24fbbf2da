"""Generated packs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from ..cases.case import Case
from ..cases.question import flags_of
from ..corpus import kept as examples
from ..formats.module import Pack
from ..formats.protocol import Format
from ..formats.registry import BY_SLUG, FORMATS, known
from .by_oracle import by_oracle
from .grid import joined

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy


def strategies_of(format: Format) -> Mapping[str, SearchStrategy[Pack]]:
    """What Hypothesis draws modules of a format from, by label: a list of the suite does without both."""
    found: Mapping[str, SearchStrategy[Pack]] = import_module(
        f"..formats.{format.ID}.strategy", __package__
    ).strategies()
    return found


@cache
def strategies() -> Mapping[str, SearchStrategy[Pack]]:
    return {label: strategy for format in FORMATS.values() for label, strategy in strategies_of(format).items()}


@cache
def kept() -> tuple[Case, ...]:
    """The smallest generated packs that unmasked a mutant, kept so that no run depends on drawing them again."""
    return tuple(_case(f"kept-{mutant}", pack) for mutant, pack in examples.kept())


@cache
def drawn(label: str, count: int) -> tuple[Pack, ...]:
    """The first packs of a derandomised run of one strategy."""
    from hypothesis import HealthCheck, Phase, given, settings

    # Hypothesis draws by the text of the function below: with another one all packs are others.
    STRATEGIES, found = strategies(), list[Pack]()  # noqa: N806

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
        for label in strategies_of(BY_SLUG[slug])
        for number, pack in enumerate(drawn(label, count))
    )


def _case(id: str, pack: Pack) -> Case:
    flags = flags_of(pack.config, pack.tensors, pack.dtype)
    return Case(id, by_oracle(pack), known(pack.config).SLUG, flags=flags)
