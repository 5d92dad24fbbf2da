"""Faults of readers of ParoQuant: turns left out or made the wrong way, and scales of inputs on the wrong side."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ..bits.array import Array
from ..bits.rounding import nearest
from ..formats.paroquant.packing import Turned
from .model import Bug, Mutant, Tensors
from .wrap import Decode, computed_from

_MODULE = "https://github.com/ModelCloud/GPTQModel/blob/main/gptqmodel/"
_READER, _FOLD = (_MODULE + "utils/paroquant.py",), (_MODULE + "quantization/paroquant/optimization.py",)
_LAYER = (_MODULE + "nn_modules/qlinear/paroquant.py",)
_EXPORT = ("https://github.com/z-lab/paroquant/blob/9e08d839830eeff63dcb10641b7c40bcfaf0f6d0/paroquant/export/math.py",)
VECTORS, SYNTHETIC, ARITHMETIC = "vectors", "synthetic", "arithmetic"
_valued = partial(computed_from, Turned)


def _changed(change: Callable[[Turned, Tensors], Turned]) -> Decode:
    """A decode with one of its parts changed."""
    return _valued(lambda found, tensors, dtype: change(found, tensors).dense(dtype))


def _as_awq(found: Turned, tensors: Tensors, dtype: str) -> Array:
    return found.codes.dense(dtype)


def _unturned(found: Turned, tensors: Tensors, dtype: str) -> Array:
    return found.scaled(found.plain(), dtype)


def _first_first(found: Turned, tensors: Tensors) -> Turned:
    return found.with_(pairs=found.pairs[::-1], angles=found.angles[::-1])


def _forwards(found: Turned, tensors: Tensors) -> Turned:
    """Rows are turned as inputs are, in the order in which they are taken back."""
    return found.with_(angles=-found.angles)


def _neighbours(found: Turned, tensors: Tensors) -> Turned:
    inputs = np.arange(found.shape[1]).reshape(-1, 2)
    return found.with_(pairs=np.broadcast_to(inputs, found.pairs.shape))


def _halves(found: Turned, tensors: Tensors) -> Turned:
    """The first half of a group's numbers are the first inputs of pairs, the second half the second ones."""
    size = found.shape[1] // len(found.codes.s)
    grouped = found.pairs.reshape(len(found.pairs), -1, 2, size // 2)
    return found.with_(pairs=grouped.swapaxes(2, 3).reshape(found.pairs.shape))


def _first_group(found: Turned, tensors: Tensors) -> Turned:
    """Every group's pairs are those of the first one."""
    inputs, groups = found.shape[1], len(found.codes.s)
    local = found.pairs[:, : inputs // groups // 2]
    return found.with_(pairs=np.concatenate([local + g * (inputs // groups) for g in range(groups)], axis=1))


def _divided(found: Turned, tensors: Tensors, dtype: str) -> Array:
    columns = np.where(found.c == 0, 1, found.c).astype(np.float32)
    return nearest((found.turned_back(found.plain()) / columns).astype(np.float64), dtype)


def _columns_first(found: Turned, tensors: Tensors, dtype: str) -> Array:
    """Codes are scaled by the inputs that they would have, were nothing turned."""
    rows = found.turned_back(found.plain() * found.c.astype(np.float32))
    return nearest(rows.astype(np.float64), dtype)


def _rounded_first(found: Turned, tensors: Tensors, dtype: str) -> Array:
    """As a layer's own forward makes the weight that turned inputs meet: in the dtype of the scales."""
    plain = found.codes.dense(None).float64().astype(np.float32)
    return found.scaled(found.turned_back(plain), dtype)


def _rounded_steps(found: Turned, tensors: Tensors, dtype: str) -> Array:
    """Each rotation is rounded to the dtype of the scales, as inputs of that dtype are."""
    rows = found.plain()
    for pairs, angles in zip(found.pairs[::-1], found.angles[::-1], strict=True):
        one = found.with_(pairs=pairs[None], angles=angles[None])
        rows = nearest(one.turned_back(rows).astype(np.float64), found.dtype).float64().astype(np.float32)
    return found.scaled(rows, dtype)


def _narrow_waves(found: Turned, tensors: Tensors, dtype: str) -> Array:
    """Cosines and sines are rounded to float16, as for inputs of that dtype."""
    rows = found.plain()
    for pairs, angles in zip(found.pairs[::-1], found.angles[::-1], strict=True):
        cos, sin = (wave(angles).astype(np.float16).astype(np.float32) for wave in (np.cos, np.sin))
        a, b = rows[:, pairs[:, 0]], rows[:, pairs[:, 1]]
        rows = rows.copy()
        rows[:, pairs[:, 0]], rows[:, pairs[:, 1]] = a * cos - b * sin, b * cos + a * sin
    return found.scaled(rows, dtype)


def _mutant(
    id: str, bug: Bug, mechanism: str, links: tuple[str, ...], killed_by: tuple[str, ...], decode: Decode
) -> Mutant:
    return Mutant(id, bug, mechanism, links, killed_by, ("paroquant",), (4,), decode)


_PLACES, _VALUES = (VECTORS, SYNTHETIC), (VECTORS, SYNTHETIC, ARITHMETIC)
PAROQUANT: tuple[Mutant, ...] = (
    _mutant("PQ-01", Bug.LAYOUT_VERSION, "ParoQuant's codes are read as AWQ's, as if nothing were turned", _LAYER,
            _VALUES, _valued(_as_awq)),
    _mutant("PQ-01b", Bug.LAYOUT_VERSION, "ParoQuant's columns are scaled and not turned", _EXPORT, _VALUES,
            _valued(_unturned)),
    _mutant("PQ-02", Bug.GROUP_INDEX, "ParoQuant's rotations are taken back from the first one on", _FOLD, _PLACES,
            _changed(_first_first)),
    _mutant("PQ-03", Bug.SIGNEDNESS, "ParoQuant's rows are turned by the angles of the inputs, not back", _FOLD,
            _VALUES, _changed(_forwards)),
    _mutant("PQ-04", Bug.GROUP_INDEX, "ParoQuant's columns are divided by the scales of the inputs", _FOLD, _VALUES,
            _valued(_divided)),
    _mutant("PQ-05", Bug.GROUP_INDEX, "ParoQuant's scales of inputs are left out", _EXPORT, _PLACES,
            _changed(lambda found, _: found.with_(c=np.ones_like(found.c)))),
    _mutant("PQ-06", Bug.OP_ORDER_DTYPE, "ParoQuant's columns are scaled before they are turned back", _EXPORT,
            _PLACES, _valued(_columns_first)),
    _mutant("PQ-07", Bug.GROUP_INDEX, "ParoQuant's pairs are ignored: neighbours are turned", _READER, _PLACES,
            _changed(_neighbours)),
    _mutant("PQ-07b", Bug.PACK_AXIS, "ParoQuant's pairs are read as two halves of a group", _READER, _PLACES,
            _changed(_halves)),
    _mutant("PQ-08", Bug.GROUP_INDEX, "all groups of ParoQuant have the pairs of the first one", _READER, _PLACES,
            _changed(_first_group)),
    _mutant("PQ-09", Bug.OP_ORDER_DTYPE, "ParoQuant's weight is rounded after every rotation", _READER, _PLACES,
            _valued(_rounded_steps)),
    _mutant("PQ-10", Bug.OP_ORDER_DTYPE, "ParoQuant's products of codes and scales are rounded before they are turned",
            _LAYER, _PLACES, _valued(_rounded_first)),
    _mutant("PQ-12", Bug.OP_ORDER_DTYPE, "cosines and sines of ParoQuant are float16", _READER, _VALUES,
            _valued(_narrow_waves)),
)  # fmt: skip
