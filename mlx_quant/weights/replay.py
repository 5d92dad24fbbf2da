"""What a GPU is asked again and again: all that Python finds out from a configuration and shapes is found out once.

Between two waits for a GPU, Python's steps take six times as long as in a loop, because others have used the
caches meanwhile: longer than a GPU takes to decode a matrix. So what they lead to is kept as MLX's compiled graph.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import mlx.core as mx

from . import later

# So many are kept; a process that meets more begins anew.
_MOST = 512
# Nobody has run it on Metal.
_CUDA = mx.cuda.is_available()


class _Known(threading.local):
    """A compiled graph is of its thread; see :mod:`.compiled`."""

    def __init__(self) -> None:
        self.of: dict[tuple[Any, ...], Callable[..., list[mx.array]]] = {}
        self.not_so: set[tuple[Any, ...]] = set()


_known = _Known()


def replays() -> bool:
    """Whether that is done on the default device."""
    return _CUDA and mx.default_device() == mx.gpu


def replay(make: Callable[..., mx.array], plan: tuple[Any, ...], arrays: Sequence[mx.array]) -> mx.array | None:
    """``make(*arrays)``, evaluated; None where it has to be asked itself: because it must see numbers, or refuses
    something, or because a check fails that would wait for :func:`.later.settle`.

    Args:
        make: must ask of the arrays nothing but shapes and dtypes until its checks are done, and must not make two
            roundings of a product and a sum, which a compiler of fused operations may make one.
        plan: all else that the result depends on; can be hashed.
    """
    if not all(isinstance(array, mx.array) for array in arrays):
        return None
    if (run := _known.of.get(plan)) is None:
        if len(_known.of) >= _MOST:
            _known.of.clear()
        run = _known.of[plan] = mx.compile(lambda blank, *given: later.traced(lambda: make(*given), blank))
    if _known.not_so and (plan, *_shapes(arrays)) in _known.not_so:
        return None
    blank = later.blank()
    try:
        found, *wrong = run(blank, *arrays)
    except Exception:  # whatever it is, whoever asks directly meets it again
        if len(_known.not_so) >= _MOST:
            _known.not_so.clear()
        _known.not_so.add((plan, *_shapes(arrays)))
        return None
    mx.eval(found, *wrong)
    return None if later.said(blank)[0] or any(each.item() for each in wrong) else found


def _shapes(arrays: Sequence[mx.array]) -> list[tuple[tuple[int, ...], mx.Dtype]]:
    return [(array.shape, array.dtype) for array in arrays]
