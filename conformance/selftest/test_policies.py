"""The written policies: one answer where upstream readers, labels or producers disagree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ..bits.array import Array
from ..cases.case import Case
from ..corpus.fixtures import Vector, produced_vectors, vectors
from ..formats.gptq.packing import stored_zeros, width
from ..formats.module import Spelling
from ..formats.registry import integers, known, parts
from ..levels.policies import disputed, disputes, expected, pairs, produced, spellings
from ..subjects.ask import decode
from ..subjects.subject import Subject
from .ledger import Ledger


@pytest.mark.parametrize("role", ["subject", "oracle"])
@pytest.mark.parametrize("case", list(disputes()), ids=lambda case: case.id)
def test_a_stored_zero_of_all_ones_is_zero(role: str, case: Case, oracle: Any, ledger: Ledger, request: Any) -> None:
    ledger.judged("policies", case.judge(request.getfixturevalue(role), oracle))


@pytest.mark.parametrize("role", ["subject", "oracle"])
@pytest.mark.parametrize("case", list(produced()), ids=lambda case: case.id)
def test_what_a_producer_packed_is_what_it_reads(
    role: str, case: Case, oracle: Any, ledger: Ledger, request: Any
) -> None:
    ledger.judged("policies", case.judge(request.getfixturevalue(role), oracle))


def test_a_producer_s_borrow_is_in_its_files() -> None:
    """Without the name of the producer the same words mean other weights, so the cases above do tell."""
    borrowed = [vector for vector in produced_vectors() if "borrowed-zeros" in vector.flags]
    assert len(borrowed) == 14
    for vector in borrowed:
        plain = {key: value for key, value in vector.config.items() if key != "meta"}
        assert parts(plain, vector.tensors).dense(None).bits.tobytes() != vector.expected["torch"].bits.tobytes()


# A borrow changes the fields behind it as well.
DISPUTED = [vector for vector in vectors() if disputed(vector) and "borrowed-zeros" not in vector.flags]
BY_FIELD = [vector for vector in DISPUTED if vector.format.LAYOUT.zeros is not None]


@pytest.mark.parametrize("vector", BY_FIELD, ids=lambda v: v.id)
def test_upstream_readers_disagree_only_where_the_stored_zero_is_all_ones(vector: Vector, ledger: Ledger) -> None:
    bits = width(vector.config)
    groups = integers(vector.config, vector.tensors).g
    stored = stored_zeros(vector.config, vector.tensors)[groups].T
    reader = "cuda" if "cuda" in vector.expected else "torch"
    unequal = vector.expected[reader].bits != expected(vector).bits
    assert unequal.any()
    assert not unequal[stored != (1 << bits) - 1].any()
    ledger.add("policies")


@pytest.mark.parametrize("vector", [v for v in DISPUTED if v not in BY_FIELD], ids=lambda v: v.id)
def test_elsewhere_they_disagree_on_the_sign_of_a_zero_or_on_ties(vector: Vector, ledger: Ledger) -> None:
    (upstream,), due = vector.expected.values(), expected(vector)
    unequal = upstream.bits != due.bits
    assert unequal.any()
    zeros = (upstream.float64() == 0) & (due.float64() == 0)
    # Upstream takes the number farther from zero, a step of seven bits away at most, before what else it computes.
    theirs, ours = np.abs(upstream.float64()), np.abs(due.float64())
    ties = (theirs > ours) & (theirs - ours <= 2.0**-6 * ours)
    assert zeros[unequal].all() or ties[unequal].all()
    ledger.add("policies")


@pytest.mark.parametrize("role", ["subject", "oracle"])
@pytest.mark.parametrize("case", list(spellings()), ids=lambda case: case.id)
def test_two_spellings_of_one_module_decode_alike(
    role: str, case: Case, oracle: Any, ledger: Ledger, request: Any
) -> None:
    ledger.judged("policies", case.judge(request.getfixturevalue(role), oracle))


@pytest.mark.parametrize("pair", [pair for _, pair in pairs()], ids=lambda pair: pair.id)
def test_what_the_spellings_share_is_no_constant(pair: Spelling, oracle: Subject) -> None:
    plain = decode(oracle, pair.plain_config, pair.plain)
    assert isinstance(plain, Array), plain
    # Two bits and one scale a matrix make three values, and a small matrix has few.
    assert np.unique(plain.bits).size > (
        2 if known(pair.plain_config).WIDTHS == (2,) else min(100, plain.bits.size // 10)
    )
