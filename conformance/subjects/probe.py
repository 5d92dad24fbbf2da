"""What a decode does besides answering, seen from beside the subject: to inputs, to earlier answers, to a neighbour.

It runs in the process of the subject, with arrays of the subject's own framework, and what it says is plain data.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

from ..bits.array import Array
from ..bits.difference import difference
from ..bits.frameworks import from_framework, to_framework, to_framework_strided
from .ask import asked
from .subject import Subject

AT_ONCE, ROUNDS, PATIENCE = 4, 3, 60.0
# Python's own five milliseconds would let most decodes end before another thread has its turn.
SWITCH_INTERVAL = 1e-5

Module = tuple[dict[str, Any], dict[str, Array]]
# An answer for each module, in order or over and over, and complaints in sentences.
Observed = tuple[list[Array], list[str]]


def probe(subject: Subject, kind: str, modules: Sequence[Module]) -> Observed:
    """What the subject answers for ``modules``, and what else it did.

    Whatever the subject raises is raised. KeyError for a ``kind`` that is none of ``KINDS``.
    """
    return KINDS[kind](subject, modules)


def _inputs(subject: Subject, module: Module) -> dict[str, Any]:
    return {name: to_framework(array, subject.framework) for name, array in module[1].items()}


def _config(module: Module) -> dict[str, Any]:
    return deepcopy(dict(module[0]))


def _inputs_stay(subject: Subject, modules: Sequence[Module]) -> Observed:
    """The config and the arrays, that is; whether a loader takes them out of the mapping is of no concern."""
    answers, complaints = [], []
    for module in modules:
        config, given = _config(module), _inputs(subject, module)
        answers.append(from_framework(asked(subject, config, dict(given)), subject.framework))
        if config != module[0]:
            complaints.append(f"the config it was given is now {config}")
        for name, due in module[1].items():
            if changed := difference(_read_back(given[name], due, subject.framework), due):
                complaints.append(f"wrote into {name}: {changed.text}")
    return answers, complaints


def _read_back(value: Any, given: Array, framework: str) -> Array:
    if framework == "torch" and given.dtype.startswith("float8"):
        import torch

        value = value.view(torch.uint8)
    # What a framework has no dtype for went to it as bits, and an array does not change its dtype.
    return Array(given.dtype, from_framework(value, framework).bits.view(given.bits.dtype))


def _answers_stay(subject: Subject, modules: Sequence[Module]) -> Observed:
    """Answers are looked at when all of them were given."""
    given = [asked(subject, _config(module), _inputs(subject, module)) for module in modules]
    return [from_framework(answer, subject.framework) for answer in given], []


def _views(subject: Subject, modules: Sequence[Module]) -> Observed:
    answers = []
    for module in modules:
        given = {name: to_framework_strided(array, subject.framework) for name, array in module[1].items()}
        answers.append(from_framework(asked(subject, _config(module), given), subject.framework))
    return answers, []


def _at_once(subject: Subject, modules: Sequence[Module]) -> Observed:
    """The modules in turn from several threads, which start each round together."""
    start = threading.Barrier(AT_ONCE, timeout=PATIENCE)
    answers: list[list[Array]] = [[] for _ in range(AT_ONCE)]
    failures: list[BaseException] = []

    def work(number: int) -> None:
        module = modules[number % len(modules)]
        try:
            for _ in range(ROUNDS):
                # Made here: arrays of some frameworks belong to the thread that made them.
                given = _inputs(subject, module)
                start.wait()
                answers[number].append(from_framework(asked(subject, _config(module), given), subject.framework))
        except threading.BrokenBarrierError:
            pass  # another thread failed, and says why
        except BaseException as error:
            failures.append(error)
            start.abort()

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(AT_ONCE)]
    with _switching_often():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
    if failures:
        raise failures[0]
    if any(len(own) < ROUNDS for own in answers):
        raise TimeoutError(f"{AT_ONCE} decodes at once did not end within {PATIENCE:g} s")
    return [answer for together in zip(*answers, strict=True) for answer in together], []


@contextmanager
def _switching_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


KINDS: dict[str, Callable[[Subject, Sequence[Module]], Observed]] = {
    "inputs-stay": _inputs_stay,
    "answers-stay": _answers_stay,
    "views": _views,
    "at-once": _at_once,
}
