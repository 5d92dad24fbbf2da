"""What a GPU is asked again and again: all that Python finds out from a configuration and shapes is found out once.

Between two waits for a GPU, Python's steps take six times as long as in a loop, because others have used the
caches meanwhile: longer than a GPU takes to decode a matrix. So what they lead to is kept as MLX's compiled graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import mlx.core as mx

from . import later
from .compiled import kept

# Of so many it is kept that they have to be asked themselves.
_MOST = 512
# Nobody has run it on Metal.
_CUDA = mx.cuda.is_available()


# Plans and shapes that were no graph.
_not_so: set[tuple[Any, ...]] = set()


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
    if _not_so and (plan, *_shapes(arrays)) in _not_so:
        return None
    run = kept((replay, *plan), lambda blank, *given: later.traced(lambda: make(*given), blank))
    blank = later.blank()
    try:
        found, *wrong = run(blank, *arrays)
    except Exception:  # whatever it is, whoever asks directly meets it again
        if len(_not_so) >= _MOST:
            _not_so.clear()
        _not_so.add((plan, *_shapes(arrays)))
        return None
    mx.eval(found, *wrong)
    return None if later.said(blank)[0] or any(each.item() for each in wrong) else found


def _shapes(arrays: Sequence[mx.array]) -> list[tuple[tuple[int, ...], mx.Dtype]]:
    return [(array.shape, array.dtype) for array in arrays]
