"""Arithmetic by enumeration: no scale, code or zero point of 16-bit scales is left untried."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ..bits.fields import fields
from ..cases.case import Case
from ..formats.registry import FORMATS
from ..levels.arithmetic import GROUP_SIZE, PAIRS, enumeration, non_finite, pack, patterns, samples
from .ledger import Ledger


@pytest.mark.parametrize("case", list(enumeration()), ids=lambda case: case.id)
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


@pytest.mark.parametrize("format", FORMATS)
def test_one_matrix_holds_every_pair_with_every_scale(format: str) -> None:
    scales = patterns("float16")[0][:8]
    tensors = pack(format, "float16", scales)
    assert (tensors["scales"].bits == scales).all()
    codes = fields(tensors["qweight"].bits, axis=0).T if format == "gptq" else fields(tensors["qweight"].bits, axis=1).T
    zeros = fields(tensors["qzeros"].bits, axis=1)
    for output in range(8):
        pairs = {(int(code), int(zeros[i // GROUP_SIZE, output])) for i, code in enumerate(codes[output])}
        assert len(pairs) == PAIRS
