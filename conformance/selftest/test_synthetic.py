"""Generated packs: the subject gives the oracle's bits, whatever the options."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from ..cases.case import Case
from ..formats.module import Pack
from ..levels.by_oracle import by_oracle
from ..levels.drawn import STRATEGIES, kept
from .ledger import Ledger


def _check(pack: Pack, subject: Any, oracle: Any, ledger: Ledger) -> None:
    for flag in sorted(pack.flags):
        event(flag)
    ledger.judged("synthetic", by_oracle(pack)(subject, oracle))


@pytest.mark.parametrize("label", STRATEGIES)
@given(data=st.data())
def test_equals_the_oracle(label: str, data: st.DataObject, subject: Any, oracle: Any, ledger: Ledger) -> None:
    _check(data.draw(STRATEGIES[label]), subject, oracle, ledger)


@pytest.mark.parametrize("case", list(kept()), ids=lambda case: case.id)
def test_what_unmasked_a_mutant_equals_the_oracle(case: Case, subject: Any, oracle: Any, ledger: Ledger) -> None:
    ledger.judged("synthetic", case.judge(subject, oracle))
