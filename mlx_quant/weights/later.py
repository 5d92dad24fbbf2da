"""Refusals that may come later: a GPU is asked about values together with the work that needs them, and waited for
once.

To wait for a number takes a GPU as long as to decode a small matrix. A CPU checks at once, and so does a GPU outside of
:func:`together`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

import mlx.core as mx


@dataclass(frozen=True)
class _Check:
    array: mx.array
    # Raises or not.
    check: Callable[[], object]
    # Whether it would, for :func:`traced`; None where only a host knows.
    fails: Callable[[], mx.array] | None


@dataclass
class _Waiting:
    checks: list[_Check] = field(default_factory=list)
    # What a kernel will say of arrays that it meets, once what it makes is evaluated.
    told: list[tuple[mx.array, mx.array, tuple[mx.array | None, ...]]] = field(default_factory=list)
    # What kernels tell it in, while they are traced.
    blank: mx.array | None = None


class _Thread(threading.local):
    waiting: _Waiting | None = None


_thread = _Thread()


@contextmanager
def together() -> Iterator[None]:
    """Let checks wait for :func:`settle`, or for another error: what would have been refused before it still is."""
    if mx.default_device() != mx.gpu or _thread.waiting is not None:
        yield
        return
    _thread.waiting = _Waiting()
    try:
        yield
        settle()
    except Exception:
        settle()
        raise
    finally:
        _thread.waiting = None


def traced(make: Callable[[], mx.array], blank: mx.array) -> list[mx.array]:
    """What ``make`` gives of tracers and, where kernels do not say it in ``blank``, whether some check fails.

    Raises ValueError where a check must see numbers.
    """
    before, _thread.waiting = _thread.waiting, _Waiting(blank=blank)
    try:
        found = make()
        passed(*(array for _, _, arrays in _thread.waiting.told for array in arrays))
        checks = _thread.waiting.checks
    finally:
        _thread.waiting = before
    fails = [each.fails for each in checks if each.fails is not None]
    if len(fails) < len(checks):
        raise ValueError("a check must see numbers")
    return [found, *(fail() for fail in fails)]


def blank() -> mx.array:
    """uint32 [2], zeros of the host, for kernels to tell what they met."""
    if _thread.waiting is not None and _thread.waiting.blank is not None:
        return _thread.waiting.blank
    return mx.array([0, 0], dtype=mx.uint32)


def postpone(array: mx.array, check: Callable[[], object], fails: Callable[[], mx.array] | None = None) -> bool:
    """Whether ``check`` of the values of ``array``, which raises or not, may wait; then it is not to be done now.
    ``fails`` says as an array whether it would."""
    if _thread.waiting is None:
        return False
    _thread.waiting.checks.append(_Check(array, check, fails))
    return True


def waits(array: mx.array | None) -> bool:
    """Whether a check of this array waits."""
    return _thread.waiting is not None and any(one.array is array for one in _thread.waiting.checks)


def tells(told: mx.array, made: mx.array, *arrays: mx.array | None) -> None:
    """Once ``made`` is evaluated, the first number of ``told`` is zero where these arrays need no check."""
    if _thread.waiting is not None and any(waits(array) for array in arrays):
        _thread.waiting.told.append((told, made, arrays))


def said(told: mx.array) -> list[int]:
    """The numbers of ``told``, after what tells them was evaluated."""
    return cast(list[int], told.tolist())


def passed(*arrays: mx.array | None) -> None:
    """Checks of these arrays need not be done."""
    if _thread.waiting is not None:
        kept = [one for one in _thread.waiting.checks if not any(one.array is array for array in arrays)]
        _thread.waiting.checks = kept


def settle(*made: mx.array) -> None:
    """Do what waits, after a GPU was given ``made`` to evaluate; raises what the checks raise, the first of them."""
    waiting = _thread.waiting
    if waiting is None or not waiting.checks:
        return
    if waiting.told:
        mx.eval(*made, *(each for _, each, _ in waiting.told))
        for told, _, arrays in waiting.told:
            if not said(told)[0]:
                passed(*arrays)
    else:
        mx.async_eval(*made)  # type: ignore[no-untyped-call]
    checks, waiting.checks, waiting.told = waiting.checks, [], []
    for each in checks:
        each.check()
