"""Packed affine triples: a loader that keeps the codes is held to codes, scales and biases, by one rule for everybody.

MLX computes ``scales * q + biases``. With ``biases = RN(-z * s)`` in 16 bits that is not the weight the format means:
up to half of the weights of an asymmetric module are off, by an ulp or so. So everybody is judged by what can be kept:
equal codes, equal scales, and biases as near to -z * s as their dtype allows. How many of the weights are not the exact
ones is said beside it, of everybody too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from ..bits.array import Array
from ..bits.difference import difference
from ..bits.frameworks import from_framework, to_framework
from ..bits.rounding import nearest
from ..cases.case import Case
from ..cases.question import Question
from ..cases.verdict import Verdict, declined
from ..formats.parts import Affine, steps
from ..formats.registry import BY_SLUG, parts
from ..subjects.subject import Crashed, Refused
from .grid import grid

RULE = "biases are as near to -z * s as their dtype allows"


@dataclass(frozen=True)
class Triple:
    """``weight`` uint32 [out, in * bits / 32]; ``scales`` and ``biases`` [out, groups].

    Column ``j`` of the packed matrix is input channel ``permutation[j]``, or ``j`` without one.
    """

    weight: Array
    scales: Array
    biases: Array
    group_size: int
    bits: int
    permutation: np.ndarray | None

    @property
    def in_features(self) -> int:
        return self.weight.shape[1] * 32 // self.bits

    @cached_property
    def codes(self) -> np.ndarray:
        """[out, in], in the order of the checkpoint's channels."""
        stream = np.unpackbits(
            np.ascontiguousarray(self.weight.bits.view(np.uint32).astype("<u4")).view(np.uint8),
            axis=1,
            bitorder="little",
        )
        fields = stream.reshape(len(stream), self.in_features, self.bits)
        return self._in_order((fields.astype(np.int64) << np.arange(self.bits)).sum(axis=2))

    def spread(self, values: Array) -> np.ndarray:
        """One value a weight, as float64 [out, in]."""
        return self._in_order(np.repeat(values.float64(), self.group_size, axis=1))

    @property
    def values(self) -> np.ndarray:
        """``scales * q + biases`` in float64, which is exact for 16-bit scales and biases."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self.spread(self.scales) * self.codes + self.spread(self.biases)

    def _in_order(self, columns: np.ndarray) -> np.ndarray:
        if self.permutation is None:
            return columns
        ordered = np.empty_like(columns)
        ordered[:, self.permutation] = columns
        return ordered


def triple_of(value: Any, framework: str) -> Triple:
    """From what a subject returns: an object or a mapping with the names above; ValueError if it does not fit."""

    def part(name: str, default: Any = None) -> Any:
        return value.get(name, default) if isinstance(value, dict) else getattr(value, name, default)

    permutation = part("permutation")
    weight, scales, biases = (from_framework(part(name), framework) for name in ("weight", "scales", "biases"))
    found = Triple(
        weight,
        scales,
        biases,
        int(part("group_size")),
        int(part("bits", 4)),
        None if permutation is None else from_framework(permutation, framework).bits.astype(np.int64),
    )
    if found.weight.shape[1] * 32 % found.bits:
        raise ValueError(f"weight {found.weight.shape} holds no whole number of {found.bits}-bit codes a row")
    groups = found.in_features // found.group_size
    if found.scales.shape != found.biases.shape or found.scales.shape != (found.weight.shape[0], groups):
        raise ValueError(
            f"weight {found.weight.shape}, scales {found.scales.shape} and biases {found.biases.shape} do not make "
            f"{found.bits} bits in groups of {found.group_size}"
        )
    if found.permutation is not None and not np.array_equal(np.sort(found.permutation), np.arange(found.in_features)):
        raise ValueError("the permutation is none of the input channels")
    return found


def repacked(subject: Any, question: Question) -> Triple | Refused | Crashed:
    """What a subject makes of one module."""
    inputs = {name: to_framework(array, subject.framework) for name, array in question.tensors.items()}
    try:
        return triple_of(subject.to_affine(dict(question.config), inputs), subject.framework)
    except subject.refusals as error:
        return Refused(error)
    except (Exception, SystemExit) as error:  # the harness must outlive whatever a loader does
        return Crashed(error)


def repacks() -> Iterator[Case]:
    """The modules of the grid, for mutants that repack and for the project's own tests."""
    for question in grid():
        if question.dtype is None and "affine" not in BY_SLUG[question.format].NOT_APPLICABLE:
            yield Case(question.id.partition("/")[2], partial(judge, question), question.format, "affine", "affine")


def judge(question: Question, subject: Any, oracle: Any) -> Verdict:
    """Codes, scales and biases of one module, or that it is refused."""
    found = repacked(subject, question)
    if question.code:
        return _declined(question, found)
    if isinstance(found, Refused):
        return Verdict(f"refused: {found.error!r}", "refused")
    if isinstance(found, Crashed):
        return Verdict(f"crashed: {found.error!r}", "crashed")
    true = parts(question.config, question.tensors).triple()
    if true is None:
        return Verdict("repacked, though the weight has no affine form", "accepted")
    if found.codes.shape != true.q.shape:
        return Verdict(f"shape {found.codes.shape}, expected {true.q.shape}", "bits", 1, true.q.size, true.q.size)
    if found.biases.dtype != found.scales.dtype:
        why = f"biases are {found.biases.dtype} beside scales of {found.scales.dtype}: MLX computes in both, as float32"
        return Verdict(why, "bits", 1, true.q.size, true.q.size)
    wrong = _wrong(found, true)
    bad = np.logical_or.reduce(list(wrong.values()))
    note, unequal = _distance(found, question.answer(oracle))
    if not bad.any():
        return Verdict(weights=bad.size, note=note, unequal=unequal)
    kinds = ", ".join(f"{int(where.sum())} {name}" for name, where in wrong.items() if where.any())
    first = tuple(int(i) for i in np.argwhere(bad)[0])
    text = f"{int(bad.sum())} of {bad.size} differ ({kinds}); first at {first}; {RULE}"
    with np.errstate(all="ignore"):
        exact = true.s[true.g].T * true.q + true.offsets()[true.g].T
        error = np.abs(found.values - exact) / np.abs(true.s[true.g].T)
    worst = float(error[bad].max())
    worst = worst if np.isfinite(worst) else float("inf")
    return Verdict(text, "bits", 1, bad.size, int(bad.sum()), note=note, steps=worst, first=first, unequal=unequal)


def _declined(question: Question, found: Triple | Refused | Crashed) -> Verdict:
    """A refusal is due; what a loader that knows more reads there counts too, but for rounding."""
    if not isinstance(found, Triple):
        return declined(found, question.code)
    readings = [reading for reading in question.readings if reading.shape == found.values.shape]
    near = parts(question.config, question.tensors) if readings else None
    if near and any(steps(nearest(found.values, near.dtype), reading, near) < 0.5 for reading in readings):
        return Verdict()
    return Verdict("repacked", "accepted")


def _wrong(found: Triple, true: Affine) -> dict[str, np.ndarray]:
    s, b = true.s[true.g].T, true.offsets()[true.g].T
    return {
        "codes": found.codes != true.q,
        "scales": (found.spread(found.scales) != s) | (np.signbit(found.spread(found.scales)) != np.signbit(s)),
        "biases": ~as_near_as_can_be(found.spread(found.biases), b, found.biases.dtype),
    }


def as_near_as_can_be(got: np.ndarray, exact: np.ndarray, dtype: str) -> np.ndarray:
    """Whether no value of the dtype is nearer; of two that are equally near, either will do."""
    due = nearest(exact, dtype).float64()
    with np.errstate(invalid="ignore"):
        return (got == due) | (np.isfinite(due) & (np.abs(got - exact) <= np.abs(due - exact)))


def _distance(found: Triple, expected: Array) -> tuple[str, int]:
    """How many of ``scales * q + biases`` are not the weights, even when they are rounded only once."""
    exact = found.values
    if not np.isfinite(exact).all():
        return "scales * q + biases is not finite everywhere", int((~np.isfinite(exact)).sum())
    # A zero has no sign of its own once it is a sum.
    got = nearest(exact + 0.0, expected.dtype)
    unsigned = Array(expected.dtype, np.where(expected.float64() == 0, 0, expected.bits).astype(expected.bits.dtype))
    apart = difference(Array(got.dtype, np.where(exact == 0, 0, got.bits).astype(got.bits.dtype)), unsigned)
    if not apart:
        return "as weights: equal", 0
    share = apart.wrong / apart.total
    return f"as weights: {apart.wrong} of {apart.total} differ from the exact ones ({share:.1%})", apart.wrong
