"""Layouts by proof: for each shape, where every bit of the result is read from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ..cases.case import Case
from ..levels.layouts import SHAPES, Shape, proofs, small, spec_code, spec_scale, spec_zero
from .ledger import Ledger


@pytest.mark.parametrize("case", list(proofs()), ids=lambda case: case.id)
def test_every_bit_is_read_from_its_place(case: Case, subject: Any, oracle: Any, ledger: Ledger) -> None:
    ledger.judged("layouts", case.judge(subject, oracle))


@pytest.mark.parametrize("case", list(proofs(small())), ids=lambda case: case.id)
def test_the_oracle_reads_every_bit_from_its_place(case: Case, oracle: Any, ledger: Ledger) -> None:
    ledger.judged("layouts", case.judge(oracle, oracle))


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.id)
def test_the_sentences_name_each_place_once(shape: Shape) -> None:
    codes = spec_code(shape)
    assert codes.shape == (shape.out, shape.in_features)
    assert np.unique(codes).size == codes.size
    used = np.unique(shape.group_index()).size
    assert np.unique(spec_zero(shape)).size == np.unique(spec_scale(shape)).size == used * shape.out


def test_the_shapes_are_awkward() -> None:
    found = {
        "square": any(s.out == s.in_features for s in SHAPES),
        "one group": any(s.groups == 1 for s in SHAPES),
        "qzeros square": any(s.out == 8 * s.groups and s.groups > 1 for s in SHAPES),
        "qweight square": any(s.format == "awq" and s.in_features == s.out // 8 for s in SHAPES)
        and any(s.format == "gptq" and s.in_features == 8 * s.out for s in SHAPES),
        "a matrix": any(s.group_size == -1 for s in SHAPES),
        "a short last group": any(s.in_features % s.group_size for s in SHAPES if s.group_size > 0),
        "a last word not full": any(s.in_features % 8 for s in SHAPES),
        "in no multiple of 32": any(s.in_features % 32 for s in SHAPES),
    }
    assert all(found.values()), found
