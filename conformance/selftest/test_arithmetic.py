"""Arithmetic by enumeration: no scale, code or zero point of 16-bit scales is left untried."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ..bits.array import Array
from ..cases.case import Case
from ..formats.domain import IntegerDomain, patterns
from ..formats.parts import Integer
from ..formats.protocol import Format
from ..levels.arithmetic import domains, enumeration, non_finite, samples
from .ledger import Ledger

# The dtype of a weight, asked for by its name, is the same question once more: corners are enough of it.
DISTINCT = [case for case in enumeration() if case.id.endswith("-to-its-own") or "out-dtype" in case.flags]


@pytest.mark.parametrize("case", DISTINCT, ids=lambda case: case.id)
def test_every_scale_times_every_difference(case: Case, subject: Any, oracle: Any, ledger: Ledger) -> None:
    ledger.judged("arithmetic", case.judge(subject, oracle))


@pytest.mark.parametrize("role", ["subject", "oracle"])
@pytest.mark.parametrize("case", list(samples()), ids=lambda case: case.id)
def test_the_corners(role: str, case: Case, oracle: Any, ledger: Ledger, request: Any) -> None:
    ledger.judged("arithmetic", case.judge(request.getfixturevalue(role), oracle))


@pytest.mark.parametrize("case", list(non_finite()), ids=lambda case: case.id)
def test_every_infinity_and_nan_is_refused(case: Case, subject: Any, oracle: Any, ledger: Ledger) -> None:
    ledger.judged("arithmetic", case.judge(subject, oracle))


def test_the_patterns_are_all_there() -> None:
    for dtype, exponents in (("float16", 32), ("bfloat16", 256)):
        finite, special = patterns(dtype)
        assert finite.size + special.size == np.unique(np.concatenate([finite, special])).size == 1 << 16
        assert special.size == (1 << 16) // exponents


INTEGERS = [(format, domain) for format, domain in domains() if isinstance(domain, IntegerDomain)]


@pytest.mark.parametrize(("format", "domain"), INTEGERS, ids=lambda value: getattr(value, "label", ""))
def test_one_matrix_holds_every_difference_with_every_scale(format: Format, domain: IntegerDomain) -> None:
    scales = patterns("float16")[0][:32]
    tensors, top = domain.pack("float16", scales), (1 << domain.bits) - 1
    found = format.parts(domain.config(), tensors)
    assert isinstance(found, Integer)
    assert (found.s == Array("float16", scales).float64()).all()
    for output in range(32):
        pairs = {(int(q), int(found.z[g, output])) for q, g in zip(found.q[output], found.g, strict=True)}
        assert {q - z for q, z in pairs} == set(range(-top, top + 1))
        assert len(pairs) == (4**domain.bits if domain.bits < 5 else 2 << domain.bits)
