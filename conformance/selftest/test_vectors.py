"""Upstream-packed vectors: the subject and the oracle give the bits that upstream's own reader gave."""

from __future__ import annotations

from typing import Any

import pytest

from ..cases.case import Case
from ..levels.vectors import upstream
from .ledger import Ledger


@pytest.mark.parametrize("role", ["subject", "oracle"])
@pytest.mark.parametrize("case", list(upstream()), ids=lambda case: case.id)
def test_equals_upstream(role: str, case: Case, oracle: Any, ledger: Ledger, request: Any) -> None:
    ledger.judged("vectors", case.judge(request.getfixturevalue(role), oracle))
