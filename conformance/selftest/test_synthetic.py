"""Generated packs: the subject gives the oracle's bits, whatever the options."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import event, given, settings

from ..cases.case import Case
from ..formats.module import Pack
from ..formats.registry import BY_SLUG
from ..levels.by_oracle import by_oracle
from ..levels.drawn import kept, strategies
from ..levels.grid import joined
from .ledger import Ledger

STRATEGIES = strategies()
# Examples of a strategy for a width beside the usual one: one for so many of the profile.
OTHER_WIDTHS = 4


def _check(pack: Pack, subject: Any, oracle: Any, ledger: Ledger) -> None:
    for flag in sorted(pack.flags):
        event(flag)
    ledger.judged("synthetic", by_oracle(pack)(subject, oracle))


@pytest.mark.parametrize("label", STRATEGIES)
def test_equals_the_oracle(label: str, subject: Any, oracle: Any, ledger: Ledger) -> None:
    """A format has all examples of the profile; a strategy for another width, on the same paths, a share of them."""
    share = 1 if label in BY_SLUG else OTHER_WIDTHS

    assert settings.default is not None

    @settings(max_examples=settings.default.max_examples // share)
    @given(pack=STRATEGIES[label])
    def equal(pack: Pack) -> None:
        _check(pack, subject, oracle, ledger)

    equal()


@pytest.mark.parametrize("case", list(kept()), ids=lambda case: case.id)
def test_what_unmasked_a_mutant_equals_the_oracle(case: Case, subject: Any, oracle: Any, ledger: Ledger) -> None:
    ledger.judged("synthetic", case.judge(subject, oracle))


@pytest.mark.parametrize("role", ["subject", "oracle"])
@pytest.mark.parametrize("case", list(joined()), ids=lambda case: case.id)
def test_options_joined(role: str, case: Case, oracle: Any, ledger: Ledger, request: Any) -> None:
    ledger.judged("synthetic", case.judge(request.getfixturevalue(role), oracle))
