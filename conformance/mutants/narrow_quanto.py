"""Faults of readers of quanto's narrow codes: parts of folded rows, shapes, shifts, and roundings."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..bits.array import Array
from ..bits.rounding import nearest, odd_sum
from ..formats.quanto_int4.packing import Lowered
from ..formats.registry import parts
from .model import Ask, Bug, Config, Mutant, Tensors
from .repacking import sound
from .wrap import Decode, computed_from

_TREE = "https://github.com/huggingface/optimum-quanto/blob/v0.2.7/optimum/quanto/"
_PACKED, _QBITS, _GROUPED = (f"{_TREE}tensor/{name}.py" for name in ("packed", "qbits", "grouped"))
_MIDDLE = f"{_TREE}tensor/weights/tinygemm/qbits.py"
_PLACES, _VALUES = ("vectors", "layouts"), ("vectors", "arithmetic")
_valued = partial(computed_from, Lowered)


def _changed(change: Callable[[Lowered], Any]) -> Decode:
    return _valued(lambda found, tensors, dtype: change(found).dense(dtype))


def _rows(order: Callable[[np.ndarray], np.ndarray]) -> Callable[[Lowered], Any]:
    """Groups whose codes are those of others: by parts [held, height] of what is folded, filled up."""

    def changed(found: Lowered) -> Any:
        assert found.size is not None
        codes, held = found.q.reshape(-1, found.size), 8 // found.bits
        height = -(-len(codes) // held)
        full = np.zeros((height * held, found.size), np.int64)
        full[: len(codes)] = codes
        moved = order(np.arange(held * height).reshape(held, height)).ravel()
        return found.with_(q=full[moved][: len(codes)].reshape(found.shape))

    return changed


def _turned(found: Lowered) -> Any:
    """Groups one beside the other, as along the last axis."""
    assert found.size is not None
    return found.with_(q=found.q.reshape(-1, found.size).T.reshape(found.shape))


def _outputs_first(found: Lowered) -> Any:
    """Scales and shifts [groups, out] in the place of [out, groups]."""
    assert found.size is not None
    out, each = found.shape[0], found.shape[1] // found.size
    z, s = (np.repeat(array[:, :: found.size].reshape(each, out).T, found.size, axis=1) for array in (found.z, found.s))
    return found.with_(z=z, s=s)


def _once(found: Lowered, tensors: Tensors, dtype: str) -> Array:
    own = nearest(odd_sum(found.q * found.s, -found.z), found.dtype)
    return own if dtype == found.dtype else nearest(own.float64(), dtype)


def _zero_point(found: Lowered, tensors: Tensors, dtype: str) -> Array:
    """The shift is taken for a zero point: codes less it, times the scale."""
    shifted = nearest(odd_sum(found.q.astype(np.float64), -found.z), found.dtype).float64()
    return nearest(nearest(shifted * found.s, found.dtype).float64(), dtype)


def _by_the_middle(found: Lowered, tensors: Tensors, dtype: str) -> Array:
    """The shift is moved to the middle of the codes and back, as for a kernel, and is rounded on the way."""
    half = nearest((1 << (found.bits - 1)) * found.s, found.dtype).float64()
    middle = nearest(odd_sum(-found.z, half), found.dtype).float64()
    shift = nearest(odd_sum(half, -middle), found.dtype).float64()
    return found.with_(z=shift).dense(dtype)


def _computed_in(name: str) -> Callable[[Lowered, Tensors, str], Array]:
    def value(found: Lowered, tensors: Tensors, dtype: str) -> Array:
        z, s = (nearest(array, name).float64() for array in (found.z, found.s))
        own = found.with_(z=z, s=s, dtype=name).dense(None)
        return nearest(nearest(own.float64(), found.dtype).float64(), dtype)

    return value


def _scaled_biases(ask: Ask, config: Config, tensors: Tensors) -> dict[str, Any]:
    """An affine form whose biases are shifts times scales."""
    answer, found = sound(ask, config, tensors), parts(config, tensors)
    assert isinstance(found, Lowered)
    assert found.size is not None
    biases = nearest(np.ascontiguousarray((-found.z * found.s)[:, :: found.size]), found.dtype)
    return answer | {"biases": biases}


def _mutant(id: str, bug: Bug, mechanism: str, file: str, killed_by: tuple[str, ...], decode: Decode) -> Mutant:
    return Mutant(id, bug, mechanism, (file,), killed_by, ("quanto_int4",), (4, 2), decode)


NARROW_QUANTO: tuple[Mutant, ...] = (
    _mutant("QN-01", Bug.NIBBLE_ORDER, "the highest bits of quanto's bytes hold the first groups", _PACKED, _PLACES,
            _changed(_rows(lambda own: own[::-1]))),
    _mutant("QN-01b", Bug.PACK_AXIS, "a byte of quanto's holds groups that are neighbours", _PACKED, _PLACES,
            _changed(_rows(lambda own: own.T))),
    _mutant("QN-02", Bug.PACK_AXIS, "quanto's groups are read as along the last axis", _GROUPED, _PLACES,
            _changed(_turned)),
    _mutant("QN-02b", Bug.GROUP_INDEX, "quanto's scales are read as [groups, out]", _GROUPED, _PLACES,
            _changed(_outputs_first)),
    _mutant("QN-03", Bug.ZERO_OFFSET, "quanto's shifts are added", _QBITS, _VALUES,
            _changed(lambda found: found.with_(z=-found.z))),
    _mutant("QN-03b", Bug.OP_ORDER_DTYPE, "quanto's shifts are taken from codes, as zero points", _QBITS, _VALUES,
            _valued(_zero_point)),
    _mutant("QN-03c", Bug.ZERO_OFFSET, "quanto's shifts go by the middle of the codes, as for one kernel", _MIDDLE,
            _VALUES, _valued(_by_the_middle)),
    _mutant("QN-04", Bug.ROUNDING, "quanto's products are not rounded", _QBITS, _VALUES, _valued(_once)),
    _mutant("QN-04b", Bug.OP_ORDER_DTYPE, "quanto's weights are computed in float32", _QBITS, _VALUES,
            _valued(_computed_in("float32"))),
    Mutant("QN-05", Bug.ZERO_OFFSET, "quanto's shifts are scaled to be biases", (_QBITS,), ("affine",),
           ("quanto_int4",), (4, 2), repack=_scaled_biases),
)  # fmt: skip
