"""How to see a wrong weight again, and where each number that makes it lies in the file."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from itertools import islice

import numpy as np

from ..bits.array import Array
from ..bits.difference import ulps
from ..bits.rounding import nearest
from ..cases.question import Question
from ..formats.explain import hexadecimal
from ..formats.parts import Integer
from ..formats.registry import known, parts
from ..run.record import Record
from ..subjects.subject import Outcome


def command(id: str, called: str) -> str:
    """What shows a case once more."""
    return f"mlx-quant-conformance show {shlex.quote(id)} --subject {shlex.quote(called)}"


def reproduction(question: Question, called: str, record: Record | None = None) -> str:
    """The command, and as comments the first wrong weight of the record taken apart; safe to paste."""
    lines = explain_record(question, record) if record else []
    return "\n".join([command(question.id, called), *(f"# {line}" for line in lines)])


def explain_record(question: Question, record: Record) -> list[str]:
    """The weight that a record points at; empty when it points at none."""
    if record.first is None or len(record.first) != 2 or question.code:
        return []
    return _taken_apart(question, tuple(record.first), record.got)


def explain(question: Question, got: Outcome | None) -> list[str]:
    """The first weight of ``got`` that is not the one due, or without an answer the first weight of the module.

    Empty where all is well, and where there is no weight to point at.
    """
    if question.code:
        return []
    if got is None:
        return _taken_apart(question, (0,) * len(_due(question).shape), None)
    due = _due(question)
    if not isinstance(got, Array) or got.shape != due.shape or got.dtype != due.dtype:
        return []
    unequal = np.argwhere(got.bits != due.bits)
    if not len(unequal):
        return []
    place = tuple(map(int, unequal[0]))
    return _taken_apart(question, place, int(got.bits[place]))


def _due(question: Question) -> Array:
    if question.expected is not None:
        return question.expected
    return parts(question.config, question.tensors).dense(question.dtype)


def _taken_apart(question: Question, place: tuple[int, ...], got: int | None) -> list[str]:
    true, due = parts(question.config, question.tensors), _due(question)
    shown = _shown(due, int(due.bits[place]))
    # Rooms count the outputs of all experts of a stack, one after the other.
    row, column = int(np.ravel_multi_index(place[:-1], due.shape[:-1])), place[-1]
    lines = known(question.config).explain(question.config, question.tensors, row, column)
    lines.append(f"due: {true.formula(row, column)}, rounded once to {question.dtype or due.dtype}: {shown}")
    if got is None:
        return lines
    distance = int(ulps(_one(due.dtype, got), _one(due.dtype, int(due.bits[place])))[0])
    lines.append(f"got: {_shown(due, got)}, {distance} ulp off")
    if isinstance(true, Integer):
        guesses = islice(_guesses(true, (row, column), due.dtype, got), 1)
        lines += [f"     which is what {guess} gives" for guess in guesses]
    return lines


def _guesses(true: Integer, place: tuple[int, int], dtype: str, got: int) -> Iterator[str]:
    """What else, in place of the zero point, the group or the code, makes the weight that was returned."""
    row, column = place
    g, q = int(true.g[column]), int(true.q[place])

    def gives(s: float, codes: int) -> bool:
        return int(nearest(np.array([s * codes]), dtype).bits[0]) == got

    z, s = int(true.z[g, row]), float(true.s[g, row])
    yield from (
        f"zero point {other}"
        for other in (z - 1, z + 1, *range((1 << true.bits) + 1))
        if other != z and gives(s, q - other)
    )
    yield from (
        f"group {other}"
        for other in range(len(true.s))
        if other != g and gives(float(true.s[other, row]), q - int(true.z[other, row]))
    )
    yield from (f"code {other}" for other in range(1 << true.bits) if other != q and gives(s, other - z))


def _one(dtype: str, bits: int) -> Array:
    return Array(dtype, np.array([bits], np.uint32 if dtype == "float32" else np.uint16))


def _shown(like: Array, bits: int) -> str:
    return f"{float(_one(like.dtype, bits).float64()[0])!r} ({hexadecimal(like, bits)})"
