"""Faults of readers of SINQ: rows and tiles, scales of inputs, packed scales, levels, and dtypes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ..bits.array import FLOATS, Array
from ..bits.rounding import nearest, odd_sum
from ..formats.sinq.packing import PACKINGS, Crossed
from .model import Bug, Mutant, Tensors
from .wrap import Decode, computed_from

_SOURCE = "https://github.com/huawei-csl/SINQ/blob/main/sinq/"
_BITPACK, _QUANTIZER, _SHIFT = (_SOURCE + "bitpack.py",), (_SOURCE + "quantizer.py",), (_SOURCE + "dual_shift.py",)
ARITHMETIC, LAYOUTS, VECTORS = "arithmetic", "layouts", "vectors"
_ALL = (4, 8, 3, 2, 1, 5, 6)
_NF4 = (
    *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635),
    *(-0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725),
    *(0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
)
_valued = partial(computed_from, Crossed)


def _changed(change: Callable[[Crossed, Tensors], Crossed]) -> Decode:
    """A decode with one of its parts changed."""

    def value(found: Crossed, tensors: Tensors, dtype: str) -> Array:
        return change(found, tensors).dense(dtype)

    return _valued(value)


def _rows(order: Callable[[int, int], np.ndarray]) -> Callable[[Crossed, Tensors], Crossed]:
    """Codes whose rows are taken from others: by codes a word, and rows of words."""

    def changed(found: Crossed, tensors: Tensors) -> Crossed:
        rows, held = found.q.size // found.size, PACKINGS[found.bits][1]
        height = -(-rows // held)
        full = np.zeros((height * held, found.size), np.int64)
        full[:rows] = found.q.reshape(rows, found.size)
        return found.with_(q=full[order(held, height)][:rows].reshape(found.shape))

    return changed


def _last_part_first(held: int, height: int) -> np.ndarray:
    return np.arange(held * height).reshape(held, height)[::-1].ravel()


def _neighbours(held: int, height: int) -> np.ndarray:
    return np.arange(held * height).reshape(held, height).T.ravel()


def _tiled(tensors: Tensors) -> bool:
    return tensors["meta.scale2"].bits.ndim == 3


def _as_rows(found: Crossed, tensors: Tensors) -> Crossed:
    """Scales and zero points of tiles, taken in the order in which they lie."""
    if not _tiled(tensors):
        return found
    out, inputs = found.shape
    groups = inputs // found.size

    def over(values: np.ndarray) -> np.ndarray:
        lying = values[:, :: found.size].reshape(out // found.size, found.size, groups).transpose(0, 2, 1).ravel()
        return np.repeat(lying.reshape(out, groups), found.size, axis=1)

    return found.with_(s=over(found.s), z=over(found.z))


def _first_band(found: Crossed, tensors: Tensors) -> Crossed:
    return found.with_(c=np.broadcast_to(found.c[:1], found.shape))


def _no_columns(found: Crossed, tensors: Tensors) -> Crossed:
    return found.with_(c=np.ones(found.shape))


def _divided(found: Crossed, tensors: Tensors) -> Crossed:
    with np.errstate(divide="ignore"):
        return found.with_(c=nearest(1 / found.c, found.params).float64())


def _of_outputs(found: Crossed, tensors: Tensors) -> Crossed:
    """Scales of inputs, given to outputs."""
    own = np.resize(found.c[0], found.shape[0])
    return found.with_(c=np.broadcast_to(own[:, None], found.shape))


def _of_the_first_input(found: Crossed, tensors: Tensors) -> Crossed:
    """One scale a group, as an affine form has room for: that of its first input."""
    return found.with_(c=np.repeat(found.c[:, :: found.size], found.size, axis=1))


def _added(found: Crossed, tensors: Tensors) -> Crossed:
    return found.with_(z=-found.z)


def _whole(found: Crossed, tensors: Tensors) -> Crossed:
    return found.with_(z=np.rint(found.z))


def _once(found: Crossed, tensors: Tensors, dtype: str) -> Array:
    return nearest((found.values() - found.z) * found.s * found.c, dtype)


def _columns_into_scales(found: Crossed, tensors: Tensors) -> Crossed:
    """Both scales are multiplied beforehand."""
    return found.with_(s=nearest(found.s * found.c, found.params).float64(), c=np.ones(found.shape))


def _all_in(name: Callable[[Crossed], str]) -> Callable[[Crossed, Tensors], Crossed]:
    """Every step in one dtype."""

    def changed(found: Crossed, tensors: Tensors) -> Crossed:
        own = name(found)
        z, s, c = (nearest(array, own).float64() for array in (found.z, found.s, found.c))
        return found.with_(z=z, s=s, c=c, dtypes=(own, own, found.dtype))

    return changed


def _promoted(found: Crossed, tensors: Tensors) -> Crossed:
    """One zero point is taken for one of many."""
    zero = tensors.get("meta.zero")
    if zero is None or zero.shape != ():
        return found
    return found.with_(z=np.full(found.shape, float(zero.float64())), dtypes=(found.dtypes[1], *found.dtypes[1:]))


def _apart(value: Callable[[np.ndarray, Array, Array], np.ndarray]) -> Callable[[Crossed, Tensors], Crossed]:
    """Scales that are packed themselves, put together in another way."""

    def changed(found: Crossed, tensors: Tensors) -> Crossed:
        if "meta.scale.x" not in tensors or _tiled(tensors):
            return found
        x, s, m = (tensors[f"meta.scale.{leaf}"] for leaf in "xsm")
        own = value(x.bits.astype(np.float64), s, m)
        return found.with_(s=np.repeat(own.reshape(found.shape[0], -1), found.size, axis=1))

    return changed


def _sum_once(x: np.ndarray, s: Array, m: Array) -> np.ndarray:
    products = x * s.float64()
    return nearest(odd_sum(products, np.broadcast_to(m.float64(), products.shape)), s.dtype).float64()


def _steps_of_rows(x: np.ndarray, s: Array, m: Array) -> np.ndarray:
    """A step is taken for neighbours, not for those that lie a whole row apart."""
    flat, count = x.ravel(), s.bits.size
    at = np.arange(flat.size) // (flat.size // count)
    products = nearest(flat * s.float64().ravel()[at], s.dtype).float64()
    return nearest(odd_sum(products, m.float64().ravel()[at]), s.dtype).float64()


def _evenly_spaced(found: Crossed, tensors: Tensors) -> Crossed:
    return found if found.levels is None else found.with_(levels=np.arange(1 << found.bits, dtype=np.float64))


def _unrounded_levels(found: Crossed, tensors: Tensors) -> Crossed:
    exact = np.array(_NF4).astype(np.float32).astype(np.float64)
    return found.with_(levels=exact) if found.levels is not None and found.bits == 4 else found


def _by_value(found: Crossed, tensors: Tensors) -> Crossed:
    """Words under the dtype of a float, whose values are cast."""
    stored = tensors["W_q"]
    if stored.dtype not in FLOATS:
        return found
    cast = np.nan_to_num(stored.float64(), posinf=0, neginf=0).astype(np.int64).ravel()
    return found.with_(q=np.resize(cast & ((1 << found.bits) - 1), found.shape))


def _groups_of_64(found: Crossed, tensors: Tensors) -> Crossed:
    """Groups are as large as most are."""
    if _tiled(tensors):
        return found
    at = np.arange(found.q.size).reshape(found.shape) // 64
    s, z = (values.reshape(-1, found.size)[:, 0] for values in (found.s, found.z))
    return found.with_(s=s[at % s.size], z=z[at % z.size])


def _mutant(
    id: str,
    bug: Bug,
    mechanism: str,
    links: tuple[str, ...],
    killed_by: tuple[str, ...],
    decode: Decode,
    bits: tuple[int, ...] = _ALL,
) -> Mutant:
    return Mutant(id, bug, mechanism, links, killed_by, ("sinq",), bits, decode)


_SEVERAL, _PLACES, _VALUES = (4, 3, 2, 1, 5, 6), (VECTORS, LAYOUTS), (VECTORS, ARITHMETIC)
SINQ: tuple[Mutant, ...] = (
    _mutant("SQ-01", Bug.NIBBLE_ORDER, "the lowest bits of a word hold the first rows", _BITPACK, _PLACES,
            _changed(_rows(_last_part_first)), _SEVERAL),
    _mutant("SQ-01b", Bug.PACK_AXIS, "a word holds rows that are neighbours", _BITPACK, _PLACES,
            _changed(_rows(_neighbours)), _SEVERAL),
    _mutant("SQ-02", Bug.CONFIG_FALLBACK, "groups have 64 inputs, whatever the tensors say", _SHIFT, _PLACES,
            _changed(_groups_of_64)),
    _mutant("SQ-03", Bug.OP_ORDER_DTYPE, "scales of inputs are left out", _QUANTIZER, _VALUES, _changed(_no_columns)),
    _mutant("SQ-03b", Bug.GROUP_INDEX, "scales of inputs are those of the first band of outputs", _QUANTIZER,
            (VECTORS,), _changed(_first_band)),
    _mutant("SQ-03c", Bug.PACK_AXIS, "scales of inputs are given to outputs", _QUANTIZER, _VALUES,
            _changed(_of_outputs)),
    _mutant("SQ-03d", Bug.OP_ORDER_DTYPE, "scales of inputs divide", _SHIFT, _VALUES, _changed(_divided)),
    _mutant("SQ-03e", Bug.GROUP_INDEX, "inputs of a group have the scale of its first one", _QUANTIZER, _VALUES,
            _changed(_of_the_first_input)),
    _mutant("SQ-04", Bug.PACK_AXIS, "scales of tiles are read as those of rows", _QUANTIZER, _PLACES,
            _changed(_as_rows), (4, 3)),
    _mutant("SQ-05", Bug.ZERO_OFFSET, "zero points are added", _QUANTIZER, _VALUES, _changed(_added)),
    _mutant("SQ-05b", Bug.ZERO_OFFSET, "zero points are rounded to whole numbers", _QUANTIZER, _VALUES,
            _changed(_whole)),
    _mutant("SQ-06", Bug.ROUNDING, "only the weight is rounded", _QUANTIZER, _VALUES, _valued(_once)),
    _mutant("SQ-06b", Bug.ROUNDING, "both scales are multiplied beforehand", _QUANTIZER, _VALUES,
            _changed(_columns_into_scales)),
    _mutant("SQ-06c", Bug.OP_ORDER_DTYPE, "one zero point promotes the difference", _QUANTIZER, (VECTORS,),
            _changed(_promoted)),
    _mutant("SQ-06d", Bug.OP_ORDER_DTYPE, "every step is made in the dtype of the weight", _QUANTIZER, _VALUES,
            _changed(_all_in(lambda found: found.dtype))),
    _mutant("SQ-06e", Bug.OP_ORDER_DTYPE, "every step is made in the dtype of the scales", _QUANTIZER, _VALUES,
            _changed(_all_in(lambda found: found.params))),
    _mutant("SQ-06f", Bug.OP_ORDER_DTYPE, "every step is made in float32", _QUANTIZER, _VALUES,
            _changed(_all_in(lambda found: "float32"))),
    _mutant("SQ-07", Bug.ROUNDING, "packed scales are rounded once", _QUANTIZER, (VECTORS,),
            _changed(_apart(_sum_once))),
    _mutant("SQ-07b", Bug.GROUP_INDEX, "packed scales that are neighbours share a step", _QUANTIZER, (VECTORS,),
            _changed(_apart(_steps_of_rows))),
    _mutant("SQ-08", Bug.SCALE_ENCODING, "codes of NF3 and NF4 are read as whole numbers", _QUANTIZER, (VECTORS,),
            _changed(_evenly_spaced), (4, 3)),
    _mutant("SQ-08b", Bug.ROUNDING, "levels are not rounded to the dtype of the scales", _QUANTIZER, (VECTORS,),
            _changed(_unrounded_levels), (4,)),
    _mutant("SQ-09", Bug.PACK_AXIS, "codes stored as floats are cast, not taken as their bytes", _QUANTIZER, _PLACES,
            _changed(_by_value), (3, 5, 6)),
)  # fmt: skip
