"""Packed affine triples: a loader that keeps the codes is held to codes, scales and the rule its biases state.

MLX computes ``scales * q + biases``. With ``biases = RN(-z * s)`` in 16 bits that is not the weight the format means:
up to half of the weights of an asymmetric module are off, by an ulp or so. So such a loader is judged by what it can
keep: equal codes, equal scales, biases by the rule it names. How far its weights are from the exact ones is said too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .arrays import Array, from_framework, to_framework
from .cases import Verdict
from .compare import difference
from .contract import nearest
from .meaning import Parts, parts
from .questions import Question

RULES = {
    "nearest": "biases are -z * s, rounded once to their own dtype",
    "exact": "biases are exactly -z * s",
}


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
    groups = found.in_features // found.group_size
    if found.scales.shape != found.biases.shape or found.scales.shape != (found.weight.shape[0], groups):
        raise ValueError(
            f"weight {found.weight.shape}, scales {found.scales.shape} and biases {found.biases.shape} do not make "
            f"{found.bits} bits in groups of {found.group_size}"
        )
    if found.permutation is not None and not np.array_equal(np.sort(found.permutation), np.arange(found.in_features)):
        raise ValueError("the permutation is none of the input channels")
    return found


def judge(question: Question, subject: Any, oracle: Any) -> Verdict:
    """Codes, scales and biases of one module."""
    inputs = {name: to_framework(array, subject.framework) for name, array in question.tensors.items()}
    try:
        found = triple_of(subject.to_affine(dict(question.config), inputs), subject.framework)
    except subject.refusals as error:
        return Verdict(f"refused: {error!r}", "refused")
    except (Exception, SystemExit) as error:  # the harness must outlive whatever a loader does
        return Verdict(f"crashed: {error!r}", "crashed")
    true, rule = parts(question.config, question.tensors), subject.info()["affine"]["biases"]
    if found.codes.shape != true.q.shape:
        return Verdict(f"shape {found.codes.shape}, expected {true.q.shape}", "bits", 1, true.q.size, true.q.size)
    wrong = _wrong(found, true, rule)
    bad = np.logical_or.reduce(list(wrong.values()))
    note = _distance(found, question.answer(oracle))
    if not bad.any():
        return Verdict(weights=bad.size, note=note)
    kinds = ", ".join(f"{int(where.sum())} {name}" for name, where in wrong.items() if where.any())
    first = tuple(int(i) for i in np.argwhere(bad)[0])
    text = f"{int(bad.sum())} of {bad.size} differ ({kinds}); first at {first}; rule: {RULES[rule]}"
    return Verdict(text, "bits", 1, bad.size, int(bad.sum()), note=note)


def _wrong(found: Triple, true: Parts, rule: str) -> dict[str, np.ndarray]:
    s, z = true.s[true.g].T, true.z[true.g].T
    due = -z * s if rule == "exact" else nearest(-z * s, found.biases.dtype).float64()
    return {
        "codes": found.codes != true.q,
        "scales": found.spread(found.scales) != s,
        "biases": found.spread(found.biases) != due,
    }


def _distance(found: Triple, expected: Array) -> str:
    """How far ``scales * q + biases`` is from the weights, even when it is rounded only once."""
    with np.errstate(over="ignore", invalid="ignore"):
        exact = found.spread(found.scales) * found.codes + found.spread(found.biases)
    if not np.isfinite(exact).all():
        return "scales * q + biases is not finite everywhere"
    # A zero has no sign of its own once it is a sum.
    got = nearest(exact + 0.0, expected.dtype)
    unsigned = Array(expected.dtype, np.where(expected.float64() == 0, 0, expected.bits).astype(expected.bits.dtype))
    apart = difference(Array(got.dtype, np.where(exact == 0, 0, got.bits).astype(got.bits.dtype)), unsigned)
    if not apart:
        return "as weights: equal"
    return f"as weights: {apart.wrong} of {apart.total} differ from the exact ones ({apart.wrong / apart.total:.1%})"
