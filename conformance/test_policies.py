"""The written policies: one answer where upstream readers, labels or producers disagree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from .arrays import Array
from .compare import difference
from .data import Vector, vectors
from .ledger import Ledger
from .policies import ALL_ONES, disputed, expected, fields, metamorphic_pairs
from .subjects import decode

DISPUTED = [vector for vector in vectors() if disputed(vector)]
PAIRS = list(metamorphic_pairs())


@pytest.mark.parametrize("role", ["subject", "oracle"])
@pytest.mark.parametrize("vector", DISPUTED, ids=lambda v: v.id)
def test_a_stored_zero_of_all_ones_is_zero(role: str, vector: Vector, ledger: Ledger, request: Any) -> None:
    got = decode(request.getfixturevalue(role), vector.config, vector.tensors)
    assert isinstance(got, Array), got
    ledger.compared("policies", difference(got, expected(vector)))


@pytest.mark.parametrize("vector", DISPUTED, ids=lambda v: v.id)
def test_upstream_readers_disagree_only_where_the_stored_zero_is_all_ones(vector: Vector, ledger: Ledger) -> None:
    group = vector.tensors["g_idx"].bits
    stored = fields(vector.tensors["qzeros"].bits, axis=1)[group].T
    unequal = vector.expected["cuda"].bits != expected(vector).bits
    assert unequal.any()
    assert not unequal[stored != ALL_ONES].any()
    ledger.add("policies")


@pytest.mark.parametrize("pair", PAIRS, ids=[pair[0] for pair in PAIRS])
@pytest.mark.parametrize("role", ["subject", "oracle"])
def test_two_spellings_of_one_module_decode_alike(
    role: str, pair: Any, oracle: Any, ledger: Ledger, request: Any
) -> None:
    _, config, tensors, plain_config, plain_tensors = pair
    got = decode(request.getfixturevalue(role), config, tensors)
    plain = decode(oracle, plain_config, plain_tensors)
    assert isinstance(got, Array), got
    assert isinstance(plain, Array), plain
    assert np.unique(plain.bits).size > 100
    ledger.compared("policies", difference(got, plain))
