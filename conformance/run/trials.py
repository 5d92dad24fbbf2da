"""Subjects of which it is known whether they must pass, to see whether the judge knows it too.

A judge is sound if every wrong one here fails and every right one passes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from ..bits.array import Array
from ..cases.question import Question
from ..levels import affine, recitation
from ..levels.grid import grid
from . import judge
from .record import Record, Report


class Declared(Exception):
    """A refusal that the subjects below declare."""


class Answering:
    """A subject that makes of the right answer what ``spoil`` does."""

    name, framework, refusals = "answering", "array", (Declared,)

    def __init__(self, asked: Question, spoil: Callable[[Array], Any]) -> None:
        self._asked, self._spoil = asked, spoil

    def info(self) -> dict[str, Any]:
        return {"formats": [self._asked.format]}

    def dequantize(self, config: Any, tensors: Any, *, dtype: Any = None) -> Any:
        return self._spoil(self._asked.answer(None))

    def to_affine(self, config: Any, tensors: Any) -> Any:
        return self._spoil(self._asked.answer(None))


def _raises(error: BaseException) -> Callable[[Array], Any]:
    def spoil(_: Array) -> Any:
        raise error

    return spoil


def _one_ulp(due: Array) -> Array:
    bits = due.bits.copy()
    bits[-1, -1] += 1
    return Array(due.dtype, bits)


def _other_zero(due: Array) -> Array:
    bits = due.bits.copy()
    sign = np.array(1 << (8 * bits.itemsize - 1), bits.dtype)
    zeros = due.float64() == 0
    bits[zeros] ^= sign
    return Array(due.dtype, bits)


def _other_dtype(due: Array) -> Array:
    return due.widened()


def _transposed(due: Array) -> Array:
    return Array(due.dtype, np.ascontiguousarray(due.bits.T))


def sound_question() -> Question:
    """A module with zeros among its weights, whose dtype is 16 bits wide."""
    for asked in grid():
        due = asked.answer(None)
        if due.dtype == "float16" and (due.float64() == 0).any() and due.shape[0] != due.shape[1] and not asked.dtype:
            return asked
    raise RuntimeError("no such module in the grid")


# What a wrong subject does, in words, to what it answers; all of these must fail.
WRONG: dict[str, Callable[[Array], Any]] = {
    "one weight is one ulp off": _one_ulp,
    "zeros have the other sign": _other_zero,
    "the dtype is another": _other_dtype,
    "it is transposed": _transposed,
    "it refuses what it claims": _raises(Declared("no")),
    "it crashes": _raises(KeyError("qweight")),
    "it exits": _raises(SystemExit(0)),
}


def _triple(asked: Question, **changed: Callable[[np.ndarray], np.ndarray]) -> dict[str, Any]:
    from ..bits.fields import words
    from ..bits.rounding import nearest
    from ..formats.registry import integers, known

    found = integers(asked.config, asked.tensors)
    values = {"codes": found.q, "scales": found.s.T, "biases": (-found.z * found.s).T}
    values |= {name: change(values[name].copy()) for name, change in changed.items()}
    return {
        "weight": Array("uint32", words(values["codes"]).view(np.uint32)),
        "scales": nearest(values["scales"], found.dtype),
        "biases": nearest(values["biases"], found.dtype),
        "group_size": known(asked.config).group_size(asked.config, found.q.shape[1]),
        "bits": 4,
    }


def _first(change: Callable[[Any], Any]) -> Callable[[np.ndarray], np.ndarray]:
    def changed(values: np.ndarray) -> np.ndarray:
        values[0, 0] = change(values[0, 0])
        return values

    return changed


TRIPLES: dict[str, dict[str, Callable[[np.ndarray], np.ndarray]]] = {
    "one code of the packed form is another": {"codes": _first(lambda q: q ^ 1)},
    "one scale of the packed form is doubled": {"scales": _first(lambda s: 2 * s)},
    "one bias of the packed form is half of what it should be": {"biases": _first(lambda b: b / 2 + 1)},
}


def verdicts() -> Iterator[tuple[str, bool, bool]]:
    """What was tried, whether it passed, and whether it should have."""
    asked = sound_question()
    yield "the right answer", _passes(asked, lambda due: due), True
    for what, spoil in WRONG.items():
        yield what, _passes(asked, spoil), False
    declined = asked.changed(code="bad-shape", expected=None)
    coded = Declared("no")
    coded.code = "bad-dtype"  # type: ignore[attr-defined]
    yield "a declared refusal where one is due", _declined_passes(declined, asked, _raises(Declared("no"))), True
    yield "a crash where a refusal is due", _declined_passes(declined, asked, _raises(KeyError("qweight"))), False
    yield "an answer where a refusal is due", _declined_passes(declined, asked, lambda due: due), False
    yield "a refusal with the wrong code", _declined_passes(declined, asked, _raises(coded)), False
    packed = next(q for q in grid() if q.dtype is None and "group-size-32" in q.flags and "bits-4" in q.flags)
    yield "the right packed form", _packed_passes(packed), True
    for what, changed in TRIPLES.items():
        yield what, _packed_passes(packed, **changed), False
    yield from _statuses()
    yield "a perplexity 1 % and a half off", not recitation._numbers(10.15, 10.0), False
    yield "a perplexity half a percent off", not recitation._numbers(10.05, 10.0), True
    yield from _folders()


def _passes(asked: Question, spoil: Callable[[Array], Any]) -> bool:
    return not asked.judge(Answering(asked, spoil), None).complaint


def _declined_passes(declined: Question, asked: Question, spoil: Callable[[Array], Any]) -> bool:
    return not declined.judge(Answering(asked, spoil), None).complaint


def _packed_passes(asked: Question, **changed: Any) -> bool:
    return not affine.judge(asked, Answering(asked, lambda _: _triple(asked, **changed)), None).complaint


def _statuses() -> Iterator[tuple[str, bool, bool]]:
    def passes(floor: tuple[str, ...], *words: str) -> bool:
        records = [Record(f"vectors/{n}", "vectors", "dense", [], word) for n, word in enumerate(words)]
        return judge.status(Report({"subject": "x"}, records, list(floor))) == judge.CONFORMS

    yield "a run in which all pass", passes((), "pass", "refused"), True
    yield "a run with a failure", passes((), "pass", "fail"), False
    yield "a run with a crash", passes((), "pass", "error"), False
    yield "a run below the floor", passes(("vectors: 1 cases, 2 expected",), "pass"), False
    yield "a run without cases", passes(()), False


def _folders() -> Iterator[tuple[str, bool, bool]]:
    from ..formats.registry import FORMATS
    from ..levels.folders import judge as folders
    from ..levels.folders.sound import build_of

    folder = build_of(next(iter(FORMATS.values())), "plain").folder()
    weights = folders.expected(folder, _Parts())

    class Loading:
        name, framework, refusals = "loading", "array", (Declared,)

        def __init__(self, more: Callable[[Path], None], **changed: Any) -> None:
            self._more, self._weights = more, {k: v for k, v in (weights | changed).items() if v is not None}

        def load(self, checkpoint_dir: Path) -> dict[str, Array]:
            self._more(Path(checkpoint_dir))
            return self._weights

    def passes(more: Callable[[Path], Any] = lambda _: None, changed: dict[str, Any] | None = None) -> bool:
        return not folders.judge(folder, Loading(more, **(changed or {})), None).complaint

    with mock.patch.object(folders, "expected", return_value=weights):
        name = next(iter(weights))
        yield "the right folder", passes(), True
        yield "a weight is missing", passes(changed={name: None}), False
        yield "a weight too many", passes(changed={"model.another.weight": weights[name]}), False
        yield "a file is written into the folder", passes(lambda f: (f / "cache").write_text("x")), False
        yield "a file of the folder is rewritten", passes(lambda f: (f / "config.json").write_text("{}")), False
        yield "a temporary folder is left", passes(lambda _: tempfile.mkdtemp()), False


class _Parts:
    """The contract itself as an oracle."""

    name, framework, refusals = "parts", "array", ()

    def dequantize(self, config: Any, tensors: Any, *, dtype: Any = None) -> Array:
        from ..formats.registry import parts

        return parts(config, tensors).dense(dtype)
