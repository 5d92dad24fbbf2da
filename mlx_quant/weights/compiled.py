"""Functions that a GPU runs as one kernel instead of one for each operation."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import mlx.core as mx


class _Functions(threading.local):
    """A compiled function keeps the stream of the thread that traced it, and MLX knows a stream in its own thread only:
    in another one it says that there is no such stream."""

    def __init__(self) -> None:
        self.of: dict[tuple[Any, ...], Callable[..., Any]] = {}


_functions = _Functions()
# So many are kept; a thread that meets more begins anew.
_MOST = 1024


def fused(function: Callable[..., Any], *plan: Any) -> Callable[..., Any]:
    """``function`` of arrays, with ``plan``, which can be hashed, for its last arguments; as it is on a CPU, where MLX
    needs a compiler for it."""
    if mx.default_device() != mx.gpu:
        return lambda *arrays: function(*arrays, *plan)
    return kept((function, *plan), lambda *arrays: function(*arrays, *plan))


def kept(key: tuple[Any, ...], function: Callable[..., Any]) -> Callable[..., Any]:
    """What was compiled for this key in this thread; ``function`` is, if there is nothing yet."""
    if (found := _functions.of.get(key)) is None:
        if len(_functions.of) >= _MOST:
            _functions.of.clear()
        found = _functions.of[key] = mx.compile(function)
    return found
