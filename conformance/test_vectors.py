"""Upstream-packed vectors: the subject and the oracle give the bits that upstream's own reader gave."""

from __future__ import annotations

from typing import Any

import pytest

from .arrays import Array
from .compare import difference
from .data import Vector, vectors
from .ledger import Ledger
from .policies import disputed
from .subjects import decode


@pytest.mark.parametrize("role", ["subject", "oracle"])
@pytest.mark.parametrize("vector", [v for v in vectors() if not disputed(v)], ids=lambda v: v.id)
def test_equals_upstream(role: str, vector: Vector, ledger: Ledger, request: Any) -> None:
    got = decode(request.getfixturevalue(role), vector.config, vector.tensors)
    assert isinstance(got, Array), got
    for reader in sorted(vector.expected):
        ledger.compared("vectors", difference(got, vector.expected[reader]))
