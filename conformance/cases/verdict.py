"""Verdicts: how a subject did."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal

import numpy as np

from ..bits.array import Array
from ..bits.difference import Histogram, difference
from ..subjects.ask import decode
from ..subjects.subject import Outcome, Refused

Manner = Literal["", "bits", "refused", "crashed", "accepted", "heard"]


@dataclass(frozen=True)
class Verdict:
    """How a subject did on one case.

    ``complaint`` is empty when it passed; ``manner`` then is too, and otherwise says how it failed: wrong ``bits`` (or
    names, shapes, dtypes), ``refused`` or ``crashed`` where an answer was due, ``accepted`` where a refusal was, or
    ``heard`` in what the model says. ``ulps`` says how far off wrong weights are, and ``note`` what is worth knowing
    even of a case that passed. ``steps`` is the largest error in quantisation steps, where that is known. ``first`` is
    the place of the first wrong weight, and ``got`` its bits. ``unequal`` counts the weights of a packed form that are
    not the exact ones once they are computed.
    """

    complaint: str = ""
    manner: Manner = ""
    modules: int = 1
    weights: int = 0
    wrong: int = 0
    ulps: Histogram = field(default_factory=dict)
    note: str = ""
    steps: float | None = None
    first: tuple[int, ...] | None = None
    got: int | None = None
    unequal: int | None = None


def compared(outcome: Outcome, expected: Array) -> Verdict:
    """Whether an answer has the expected bits; a refusal or a crash is none."""
    if not isinstance(outcome, Array):
        manner: Manner = "refused" if isinstance(outcome, Refused) else "crashed"
        return Verdict(f"{manner}: {outcome.error!r}", manner)
    found = difference(outcome, expected)
    return Verdict(
        found.text,
        "bits" if found else "",
        weights=found.total,
        wrong=found.wrong,
        ulps=found.ulps,
        first=found.first,
        got=found.got,
    )


def declined(outcome: Outcome, code: str) -> Verdict:
    """Whether an input was refused in a declared way, with ``code`` where the error carries one."""
    if isinstance(outcome, Array):
        return Verdict("decoded", "accepted")
    if not isinstance(outcome, Refused):
        return Verdict(f"crashed: {outcome.error!r}", "crashed")
    if getattr(outcome.error, "code", code) != code:
        return Verdict(f"refused with the wrong code: {outcome.error}", "refused")
    return Verdict()


# The last answers of oracles to small modules: many folders hold the same ones.
_KEPT, _SMALL = 128, 1 << 19
_answers: OrderedDict[tuple[int, bytes], tuple[Any, Array]] = OrderedDict()


def asked_of(oracle: Any, config: Mapping[str, Any], tensors: Mapping[str, Array], dtype: str | None = None) -> Array:
    """The oracle's weight, which may not be written to; it must have one.

    An oracle is asked once for what its answers to are kept. A subject never gets such an answer.
    """
    if sum(tensor.bits.nbytes for tensor in tensors.values()) > _SMALL:
        return _answered(oracle, config, tensors, dtype)
    hashed = sha256(repr((sorted(config.items()), dtype)).encode())
    for name, tensor in sorted(tensors.items()):
        hashed.update(repr((name, tensor.dtype, tensor.shape)).encode())
        hashed.update(np.ascontiguousarray(tensor.bits).data)
    key = id(oracle), hashed.digest()
    if key not in _answers:
        # With the oracle, so that no other takes its place in memory.
        _answers[key] = oracle, _answered(oracle, config, tensors, dtype)
        _answers[key][1].bits.setflags(write=False)
        if len(_answers) > _KEPT:
            _answers.popitem(last=False)
    _answers.move_to_end(key)
    return _answers[key][1]


def _answered(oracle: Any, config: Mapping[str, Any], tensors: Mapping[str, Array], dtype: str | None) -> Array:
    answer = decode(oracle, config, tensors, dtype)
    if not isinstance(answer, Array):
        raise RuntimeError(f"the oracle has no answer: {answer.error!r}") from answer.error
    return answer


def asked(
    config: Mapping[str, Any], tensors: Mapping[str, Array], expected: Array, dtype: str | None = None
) -> Callable[[Any, Any], Verdict]:
    """Judges the decode of one module against known bits."""
    return lambda subject, _: compared(decode(subject, config, tensors, dtype), expected)


def together(id: str, verdicts: list[Verdict]) -> Verdict:
    """The first complaint of several verdicts, and their sums."""
    first = next((verdict for verdict in verdicts if verdict.complaint), Verdict())
    steps = [verdict.steps for verdict in verdicts if verdict.complaint]
    return Verdict(
        f"{id}: {first.complaint}" if first.complaint else "",
        first.manner,
        sum(verdict.modules for verdict in verdicts),
        sum(verdict.weights for verdict in verdicts),
        sum(verdict.wrong for verdict in verdicts),
        dict(sum((Counter(verdict.ulps) for verdict in verdicts), Counter())),
        steps=None if None in steps else max((step for step in steps if step is not None), default=None),
    )
