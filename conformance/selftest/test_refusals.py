"""Refusals: an input with one thing wrong meets a declared error, never a guess and never a crash."""

from __future__ import annotations

from typing import Any

import pytest

from ..cases.case import Case
from ..levels.refusals import unreadable
from .ledger import Ledger


@pytest.mark.parametrize("case", list(unreadable()), ids=lambda case: case.id)
def test_is_refused(case: Case, subject: Any, oracle: Any, ledger: Ledger) -> None:
    ledger.judged("refusals", case.judge(subject, oracle))


@pytest.mark.parametrize("case", list(unreadable()), ids=lambda case: case.id)
def test_the_oracle_refuses_it_too(case: Case, oracle: Any) -> None:
    assert not case.judge(oracle, oracle).complaint
