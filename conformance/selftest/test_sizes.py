"""Modules in the shapes of real layers, and what a decode does besides answering."""

from __future__ import annotations

from typing import Any

import pytest

from ..cases.case import Case
from ..formats.registry import FORMATS
from ..levels.grid import real_sizes
from ..levels.state import state
from ..subjects.probe import KINDS
from .ledger import Ledger


@pytest.mark.parametrize("role", ["subject", "oracle"])
@pytest.mark.parametrize("case", list(real_sizes()), ids=lambda case: case.id)
def test_a_layer_of_a_real_model(role: str, case: Case, oracle: Any, ledger: Ledger, request: Any) -> None:
    ledger.judged("sizes", case.judge(request.getfixturevalue(role), oracle))


@pytest.mark.parametrize("role", ["subject", "oracle"])
@pytest.mark.parametrize("case", list(state()), ids=lambda case: case.id)
def test_a_decode_does_nothing_but_answer(role: str, case: Case, oracle: Any, ledger: Ledger, request: Any) -> None:
    ledger.judged("state", case.judge(request.getfixturevalue(role), oracle))


@pytest.mark.parametrize("format", FORMATS.values(), ids=lambda format: format.ID)
def test_every_format_is_asked_more_than_small_numbers_hold(format: Any) -> None:
    shapes = [unmade.sample.parts.shape[-2:] for unmade in format.grid() if unmade.real_size]
    assert max(out for out, _ in shapes) > 4096
    assert max(inputs for _, inputs in shapes) > 4096
    assert max(out * inputs for out, inputs in shapes) > 1 << 20
    assert len([case for case in state() if case.format == format.SLUG]) == len(KINDS)
