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


@dataclass
class _Waiting:
    checks: list[tuple[mx.array, Callable[[], object]]] = field(default_factory=list)
    # What a kernel will say of arrays that it meets, once what it makes is evaluated.
    told: list[tuple[mx.array, mx.array, tuple[mx.array | None, ...]]] = field(default_factory=list)


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


def postpone(array: mx.array, check: Callable[[], object]) -> bool:
    """Whether ``check`` of the values of ``array``, which raises or not, may wait; then it is not to be done now."""
    if _thread.waiting is None:
        return False
    _thread.waiting.checks.append((array, check))
    return True


def waits(array: mx.array | None) -> bool:
    """Whether a check of this array waits."""
    return _thread.waiting is not None and any(other is array for other, _ in _thread.waiting.checks)


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
        kept = [one for one in _thread.waiting.checks if not any(one[0] is array for array in arrays)]
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
    for _, check in checks:
        check()
