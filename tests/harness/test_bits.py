"""The suite's own arithmetic, which every expectation rests on: rounding, fields of words, digests of questions."""

from __future__ import annotations

import numpy as np
import pytest

from conformance import suite
from conformance.bits.array import Array
from conformance.bits.fields import fields, words
from conformance.bits.rounding import nearest
from conformance.cases.case import Case
from conformance.cases.digest import digest
from conformance.formats.domain import patterns


def around(dtype: str) -> np.ndarray:
    """Every finite number of a dtype, every middle of two neighbours, and what lies next to the middles."""
    values = np.sort(Array(dtype, patterns(dtype)[0]).float64())
    middles = (values[:-1] + values[1:]) / 2
    return np.concatenate([values, middles, np.nextafter(middles, np.inf), np.nextafter(middles, -np.inf)])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("to", ["float16", "bfloat16", "float32"])
def test_one_rounding_is_to_the_nearest_and_ties_go_to_even(dtype: str, to: str) -> None:
    exact = np.concatenate([around(dtype), [0.0, -0.0, 5e-324, -5e-324, 65519.9, 65520.0]])
    if to == "bfloat16":
        # Every one of them takes long; 7 goes with no power of two.
        exact = exact[::7]
        due = np.array([_bfloat16(pattern) for pattern in exact.view(np.int64).tolist()], np.uint16)
    else:
        with np.errstate(over="ignore"):
            due = exact.astype(to)
    got = nearest(exact, to)
    assert (got.bits == due.view(got.bits.dtype)).all()


def _bfloat16(pattern: int) -> int:
    """The bits of a finite float64 rounded to bfloat16, with whole numbers alone."""
    sign, rest = (pattern >> 63) & 1, pattern & ((1 << 63) - 1)
    exponent, mantissa = max(rest >> 52, 1), (rest & ((1 << 52) - 1)) | ((rest >> 52 > 0) << 52)
    # A quantum is 2**-133, or more in the binades above.
    shift = 52 - 7 + max(0, -126 + 1023 - exponent)
    whole, left = mantissa >> shift, mantissa & ((1 << shift) - 1)
    half = 1 << (shift - 1)
    whole += left > half or (left == half and whole & 1)
    return (sign << 15) | min(((max(exponent - 1023 + 127, 1) - 1) << 7) + whole, 0x7F80)


def test_a_matrix_is_rounded_as_its_elements_are() -> None:
    exact = np.random.default_rng(0).standard_normal((300, 200)).T
    whole = nearest(exact, "float16")
    assert whole.shape == (200, 300)
    assert all((nearest(exact[row], "float16").bits == whole.bits[row]).all() for row in range(0, 200, 37))


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("columns", [1, 31, 32, 33, 96])
def test_fields_are_a_little_endian_stream(bits: int, columns: int) -> None:
    values = np.random.default_rng(bits).integers(0, 1 << bits, (3, columns))
    packed = words(values, bits)
    for row, own in zip(packed, values.tolist(), strict=True):
        number = sum(value << (bits * place) for place, value in enumerate(own))
        assert number.to_bytes(4 * len(row), "little") == row.astype("<i4").tobytes()
        assert len(row) == -(-columns * bits // 32)
    assert (fields(packed, 1, bits)[:, :columns] == values).all()
    assert (fields(packed.T, 0, bits)[:columns] == values.T).all()


def asked(level: str) -> Case:
    return next(case for case in suite.cases() if case.level == level and case.question is not None)


def test_a_digest_is_of_what_is_asked() -> None:
    case = asked("synthetic")
    question = case.question
    assert question is not None
    name, array = next(iter(question.tensors.items()))
    bits = array.bits.copy()
    bits.flat[0] ^= 1
    others = [
        question.changed(tensors=question.tensors | {name: Array(array.dtype, bits)}),
        question.changed(config=question.config | {"bits": 3}),
        question.changed(dtype="bfloat16"),
        question.changed(code="bad-shape"),
        question.changed(expected=None),
    ]
    found = [digest(own.judge) for own in (question, *others)]
    assert found[0] == case.asked
    assert len(set(found)) == len(found)


def test_digests_tell_the_cases_of_a_level_apart() -> None:
    for level in ("checkpoints", "arithmetic", "state", "affine"):
        found = [case.asked for case in suite.cases() if case.level == level]
        assert len(set(found)) == len(found), level
