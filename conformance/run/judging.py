"""Mutants of the judge: one deliberate fault in the harness at a time, and whether a wrong subject slips through.

Each fault takes one demand away; one that changes none of the verdicts of :mod:`.trials` would be noticed by nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from ..bits import difference
from ..bits.array import Array
from ..cases import question, verdict
from ..levels import affine, recitation
from ..levels.folders import judge as folders
from ..subjects.subject import Crashed, Refused
from . import judge
from .record import Report
from .trials import verdicts

PAGE = "judge-mutants.md"


@dataclass(frozen=True)
class Fault:
    """``target`` is the name that is replaced, in a module that uses it, by ``by``."""

    id: str
    what: str
    where: Any
    target: str
    by: Any


def _blind(kind: str) -> Callable[..., dict[str, np.ndarray]]:
    sound = affine._wrong

    def wrong(*arguments: Any) -> dict[str, np.ndarray]:
        return {name: where & (name != kind) for name, where in sound(*arguments).items()}

    return wrong


def _sloppy(found: Any, expected: Any) -> Any:
    """Values are compared, not bits."""
    if (
        isinstance(found, Array)
        and found.shape == expected.shape
        and np.array_equal(found.float64(), expected.float64())
    ):
        return _COMPARED(expected, expected)
    return _COMPARED(found, expected)


def _as_refusal(outcome: Any, code: str) -> verdict.Verdict:
    return verdict.Verdict() if isinstance(outcome, Refused | Crashed) else _DECLINED(outcome, code)


def _near(found: Any, expected: Any) -> Any:
    near = isinstance(found, Array) and found.shape == expected.shape
    if near and np.allclose(found.float64(), expected.float64(), rtol=2e-3):
        return _COMPARED(expected, expected)
    return _COMPARED(found, expected)


def _refusal_passes(found: Any, expected: Any) -> Any:
    return verdict.Verdict() if isinstance(found, Refused) else _COMPARED(found, expected)


def _crash_passes(found: Any, expected: Any) -> Any:
    return verdict.Verdict() if isinstance(found, Crashed) else _COMPARED(found, expected)


def _any_code(outcome: Any, code: str) -> verdict.Verdict:
    return verdict.Verdict() if isinstance(outcome, Refused) else _DECLINED(outcome, code)


def _any_shape(found: Any, expected: Any) -> Any:
    if isinstance(found, Array) and found.shape == expected.shape[::-1]:
        return _COMPARED(Array(found.dtype, np.ascontiguousarray(found.bits.T)), expected)
    return _COMPARED(found, expected)


_COMPARED, _DECLINED, _DIFFERENCE = verdict.compared, verdict.declined, difference.difference


def faults() -> list[Fault]:
    def no_floor(report: Report) -> int:
        return judge.FAULT if report.faults else judge.CONFORMS

    def no_errors(report: Report) -> int:
        return judge.FAULT if any(r.verdict == "fail" for r in report.records) else judge.CONFORMS

    def green(report: Report) -> int:
        return judge.BELOW_FLOOR if report.below_floor or not report.records else judge.CONFORMS

    same: Callable[..., dict[str, str]] = lambda *_: {}  # noqa: E731
    nothing: Callable[..., list[str]] = lambda *_: []  # noqa: E731
    return [
        Fault(
            "JU-01",
            "values are compared and not bits",
            question,
            "compared",
            _sloppy,
        ),
        Fault("JU-02", "weights are compared with a tolerance", question, "compared", _near),
        Fault("JU-03", "a declared refusal passes where an answer is due", question, "compared", _refusal_passes),
        Fault("JU-04", "a crash passes where an answer is due", question, "compared", _crash_passes),
        Fault("JU-05", "a transposed answer passes", question, "compared", _any_shape),
        Fault("JU-06", "a crash passes where a refusal is due", question, "declined", _as_refusal),
        Fault("JU-07", "the code of a refusal is not compared", question, "declined", _any_code),
        Fault("JU-08", "an answer passes where a refusal is due", question, "declined", lambda *_: verdict.Verdict()),
        Fault("JU-09", "the scales of the packed form are not compared", affine, "_wrong", _blind("scales")),
        Fault("JU-10", "its codes are not compared", affine, "_wrong", _blind("codes")),
        Fault("JU-11", "its biases are not compared", affine, "_wrong", _blind("biases")),
        Fault("JU-12", "the bound on perplexity is gone", recitation, "PERPLEXITY_BOUND", 1e9),
        Fault("JU-13", "the bound on perplexity is ten times as wide", recitation, "PERPLEXITY_BOUND", 0.1),
        Fault("JU-14", "the floor is gone", judge, "status", no_floor),
        Fault("JU-15", "crashes are no faults", judge, "status", no_errors),
        Fault("JU-16", "failures are no faults", judge, "status", green),
        Fault("JU-17", "what a loader does to the folder is not looked at", folders, "_contents", same),
        Fault("JU-18", "what a loader leaves behind is not looked for", folders, "left", nothing),
        Fault("JU-19", "the names of weights are not compared", folders, "_weights", lambda *_: verdict.Verdict()),
        Fault(
            "JU-20", "nothing is ever found to differ", verdict, "difference", lambda a, b: difference.difference(b, b)
        ),
    ]


def complaints() -> list[str]:
    """What is judged wrongly; empty of a sound judge."""
    return [f"{what} {'passes' if passed else 'fails'}" for what, passed, due in verdicts() if passed != due]


def noticed(fault: Fault) -> list[str]:
    """What is judged wrongly with a fault built in, or how the judge falls over."""
    with mock.patch.object(fault.where, fault.target, fault.by):
        try:
            return complaints()
        except Exception as error:
            return [f"the judge falls over: {error!r}"]


HEAD = """# Mutants of the judge

{count} deliberate faults in the harness, each built in alone, against {tried} subjects and runs of which it is known
whether they must pass. Written by `mlx-quant-conformance mutants --judge --output docs`.

**{noticed} of {count}** are noticed.

| id | fault | noticed by |
|---|---|---|
"""


def table(found: list[tuple[Fault, list[str]]]) -> str:
    """The page."""
    tried, caught = sum(1 for _ in verdicts()), sum(bool(lines) for _, lines in found)
    rows = [f"| {fault.id} | {fault.what} | {'; '.join(lines[:3]) or '**nothing**'} |" for fault, lines in found]
    return HEAD.format(count=len(found), tried=tried, noticed=caught) + "\n".join(rows) + "\n"


def run(output: Path | None, check: Path | None) -> int:
    """0 if the judge is sound, every fault is noticed, and the page in ``check`` says the same."""
    wrong, found = complaints(), [(fault, noticed(fault)) for fault in faults()]
    lines = [f"the judge is wrong without any fault: {line}" for line in wrong]
    lines += [f"{fault.id} is not noticed: {fault.what}" for fault, own in found if not own]
    if check is not None and (check / PAGE).read_text() != table(found):
        lines.append(f"{check / PAGE} says something else")
    if output is not None:
        (output / PAGE).write_text(table(found))
    print(f"{len(found)} faults of the judge, {sum(bool(own) for _, own in found)} noticed")
    for line in lines:
        print(f"FAULT  {line}")
    return int(bool(lines))
