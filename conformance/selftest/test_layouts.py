"""Layouts by proof: for each shape, where every bit of the result is read from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ..cases.case import Case
from ..formats.module import Shape
from ..formats.protocol import Format
from ..levels.layouts import proofs, shapes, small
from .ledger import Ledger


@pytest.mark.parametrize("case", list(proofs()), ids=lambda case: case.id)
def test_every_bit_is_read_from_its_place(case: Case, subject: Any, oracle: Any, ledger: Ledger) -> None:
    ledger.judged("layouts", case.judge(subject, oracle))


@pytest.mark.parametrize("case", list(proofs(small())), ids=lambda case: case.id)
def test_the_oracle_reads_every_bit_from_its_place(case: Case, oracle: Any, ledger: Ledger) -> None:
    ledger.judged("layouts", case.judge(oracle, oracle))


@pytest.mark.parametrize(("format", "shape"), list(shapes()), ids=lambda value: getattr(value, "id", ""))
def test_the_sentences_name_each_place_once(format: Format, shape: Shape) -> None:
    layout, tensors = format.LAYOUT, format.constant(shape, *format.LAYOUT.one(shape.bits))[1]
    codes = layout.code_places(shape)
    assert codes.shape == (shape.out, shape.in_features, shape.bits)
    times, covered = np.unique(codes, return_counts=True)[1], layout.covers(shape)
    # Of vectors that outputs do not fill, the last ones cover the rest.
    assert set(times.tolist()) == {covered, shape.out % covered or covered}
    used = np.unique(shape.group_index()).size
    scales = np.unique(layout.scale_places(shape)).size
    # All there is but padding.
    assert scales * layout.room(shape) == tensors[layout.scales].bits.size * used
    if layout.zeros in tensors:
        assert layout.zero_places is not None
        assert np.unique(layout.zero_places(shape)).size == scales * shape.bits


def test_the_shapes_are_awkward() -> None:
    every = [shape for _, shape in shapes()]
    found = {
        "square": any(s.out == s.in_features for s in every),
        "one group": any(s.groups == 1 for s in every),
        "qzeros square": any(s.out * s.bits == 32 * s.groups and s.groups > 1 for s in every),
        "qweight square": any(s.label == "awq" and s.in_features == s.out // 8 for s in every)
        and any(s.label == "gptq" and s.in_features == 8 * s.out for s in every),
        "a matrix": any(s.group_size == -1 for s in every),
        "a short last group": any(s.in_features % s.group_size for s in every if s.group_size > 0),
        "a last word not full": any(s.in_features * s.bits % 32 for s in every),
        "in no multiple of 32": any(s.in_features % 32 for s in every),
    }
    assert all(found.values()), found
