"""Refusals: an input with one thing wrong meets a declared error, never a guess and never a crash."""

from __future__ import annotations

from typing import Any

import pytest

from .arrays import Array
from .ledger import Ledger
from .refusals import Refusal, refusals
from .subjects import Refused, decode

CASES = list(refusals())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_is_refused(case: Refusal, subject: Any, ledger: Ledger) -> None:
    got = decode(subject, case.config, case.tensors)
    assert not isinstance(got, Array), "decoded"
    assert isinstance(got, Refused), f"crashed: {got.error!r}"
    assert getattr(got.error, "code", case.code) == case.code, str(got.error)
    ledger.add("refusals", modules=1)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_oracle_does_not_decode_it(case: Refusal, oracle: Any) -> None:
    assert not isinstance(decode(oracle, case.config, case.tensors), Array)
