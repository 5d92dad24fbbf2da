"""Faults of readers of HQQ: parts of folded rows, axes, float zero points, and roundings."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..bits.array import FLOATS, Array
from ..bits.rounding import nearest, odd_sum
from ..formats.hqq.packing import PACKINGS, Zeroed, packed, params
from ..formats.registry import parts
from .model import Ask, Bug, Config, Mutant, Tensors, github
from .repacking import NO_FORM, sound
from .wrap import Decode, computed_from

_SOURCE = "https://github.com/dropbox/hqq/blob/master/hqq/core/"
_BITPACK, _QUANTIZE = (_SOURCE + "bitpack.py",), (_SOURCE + "quantize.py",)
_THREE = github("dropbox/hqq#97")
_AXIS = github("huawei-csl/SINQ#8")
ARITHMETIC, LAYOUTS, VECTORS = "arithmetic", "layouts", "vectors"
_ALL = (4, 8, 3, 2, 1)
_valued = partial(computed_from, Zeroed)


def _changed(change: Callable[[Zeroed, Tensors], Zeroed]) -> Decode:
    """A decode with one of its parts changed."""
    return _valued(lambda found, tensors, dtype: change(found, tensors).dense(dtype))


def _folded(tensors: Tensors) -> tuple[int, int, bool]:
    """Rows and columns of what is folded, and whether groups lie along its rows."""
    out, inputs = (int(size) for size in tensors["shape"].bits)
    group, axis = (int(tensors[name].bits.item()) for name in ("group_size", "axis"))
    columns = group if axis else out * inputs // group
    return out * inputs // columns, columns, bool(axis)


def _rows(order: Callable[[int, int, int], np.ndarray]) -> Callable[[Zeroed, Tensors], Zeroed]:
    """Codes whose rows are taken from others: by rows, parts of them, and rows of words."""

    def changed(found: Zeroed, tensors: Tensors) -> Zeroed:
        rows, columns, _ = _folded(tensors)
        held = PACKINGS[found.bits][1]
        height = -(-rows // held)
        full = np.zeros((height * held, columns), np.int64)
        full[:rows] = found.q.reshape(rows, columns)
        return found.with_(q=full[order(rows, held, height)][:rows].reshape(found.shape))

    return changed


def _last_part_first(rows: int, held: int, height: int) -> np.ndarray:
    return np.arange(held * height).reshape(held, height)[::-1].ravel()


def _neighbours(rows: int, held: int, height: int) -> np.ndarray:
    """A word of rows that are neighbours."""
    return np.arange(held * height).reshape(held, height).T.ravel()


def _cut_at_the_start(rows: int, held: int, height: int) -> np.ndarray:
    return np.arange(held * height - rows, held * height)


def _parts_of_rows_there_are(found: Zeroed, tensors: Tensors) -> Zeroed:
    """Rows that fill up words are forgotten, so that parts are shorter than they are."""
    rows, columns, _ = _folded(tensors)
    words = packed(found.q.reshape(rows, columns), found.bits).bits.astype(np.int64)
    height = max(1, rows // 10)
    planes = [(words[:height] >> (3 * place)) & 7 for place in reversed(range(10))]
    codes = np.concatenate([*planes, np.zeros((rows, columns), np.int64)])[:rows]
    return found.with_(q=codes.reshape(found.shape))


def _spread(tensors: Tensors, place: Callable[[np.ndarray, int, int], np.ndarray], found: Zeroed) -> Zeroed:
    """Scales and zero points at other places, by the number of a weight and the size of its matrix."""
    n = np.arange(found.q.size).reshape(found.shape)
    at = place(n, *found.shape)
    z, s = (tensors[name].float64().ravel() for name in ("zero", "scale"))
    return found.with_(z=z[at % z.size], s=s[at % s.size])


def _always_along_rows(found: Zeroed, tensors: Tensors) -> Zeroed:
    group = int(tensors["group_size"].bits.item())
    return _spread(tensors, lambda n, out, inputs: n // group, found)


def _always_across(found: Zeroed, tensors: Tensors) -> Zeroed:
    return _spread(tensors, lambda n, out, inputs: n, found)


def _anew_with_each_row(found: Zeroed, tensors: Tensors) -> Zeroed:
    _, columns, along = _folded(tensors)
    if not along or found.shape[1] % columns == 0:
        return found
    each = -(-found.shape[1] // columns)
    return _spread(tensors, lambda n, out, inputs: n // inputs * each + n % inputs // columns, found)


def _of_inputs(found: Zeroed, tensors: Tensors) -> Zeroed:
    """Groups across the outputs, with a scale for each input in each of them."""
    group, axis = (int(tensors[name].bits.item()) for name in ("group_size", "axis"))
    if axis:
        return found
    return _spread(tensors, lambda n, out, inputs: n // inputs // group * inputs + n % inputs, found)


def _groups_of_64(found: Zeroed, tensors: Tensors) -> Zeroed:
    if int(tensors["axis"].bits.item()) == 0:
        return found
    return _spread(tensors, lambda n, out, inputs: n // 64, found)


def _turned(found: Zeroed, tensors: Tensors) -> Zeroed:
    """Columns of what is folded one after the other."""
    rows, columns, along = _folded(tensors)
    if along:
        return found
    moved = [np.ascontiguousarray(a).reshape(rows, columns).T.reshape(found.shape) for a in (found.q, found.z, found.s)]
    return found.with_(q=moved[0], z=moved[1], s=moved[2])


def _by_value(found: Zeroed, tensors: Tensors) -> Zeroed:
    """Words under the dtype of a float, whose values are cast to bytes."""
    stored = tensors["W_q"]
    if stored.dtype not in FLOATS:
        return found
    cast = np.nan_to_num(stored.float64(), posinf=0, neginf=0).astype(np.int64).ravel()
    return found.with_(q=np.resize(cast & ((1 << found.bits) - 1), found.shape))


def _one_bit(found: Zeroed, tensors: Tensors) -> Zeroed:
    return found.with_(q=found.q & 1) if tensors["nbits"].dtype == "float32" else found


def _once(found: Zeroed, tensors: Tensors, dtype: str) -> Array:
    """Differences stay exact, as far as float64 goes."""
    return nearest((found.q - found.z) * found.s, dtype)


def _affine(found: Zeroed, tensors: Tensors, dtype: str) -> Array:
    """A product and an offset that was rounded before, as of MLX's own form."""
    offsets = nearest(-found.z * found.s, found.dtype).float64()
    return nearest(odd_sum(found.q * found.s, offsets), dtype)


def _added(found: Zeroed, tensors: Tensors) -> Zeroed:
    return found.with_(z=-found.z)


def _after(found: Zeroed, tensors: Tensors, dtype: str) -> Array:
    """The zero point is taken from the product."""
    product = nearest(found.q * found.s, found.dtype).float64()
    return nearest(nearest(product - found.z, found.dtype).float64(), dtype)


def _whole(found: Zeroed, tensors: Tensors) -> Zeroed:
    return found.with_(z=np.rint(found.z))


def _codes_only(found: Zeroed, tensors: Tensors) -> Zeroed:
    """Zero points that a code can be."""
    return found.with_(z=np.clip(np.rint(found.z), 0, (1 << found.bits) - 1))


def _computed_in(name: str) -> Callable[[Zeroed, Tensors, str], Array]:
    """Scales and zero points are cast before anything else."""

    def value(found: Zeroed, tensors: Tensors, dtype: str) -> Array:
        z, s = (nearest(array, name).float64() for array in (found.z, found.s))
        return nearest(found.with_(z=z, s=s, dtype=name).dense(None).float64(), dtype)

    return value


def _unscaled(ask: Ask, config: Config, tensors: Tensors) -> dict[str, Any]:
    """An affine form whose biases are the zero points."""
    found = parts(config, tensors)
    assert isinstance(found, Zeroed)
    if found.size is None:
        ask(config | {"quant_method": NO_FORM}, tensors, None)
    biases = nearest(np.ascontiguousarray(-found.z[:, :: found.size]), found.dtype)
    return sound(ask, config, tensors) | {"biases": biases}


def _by_config(ask: Ask, config: Config, tensors: Tensors, dtype: str | None) -> Array:
    """The group size of the configuration, whatever the tensors say."""
    found = ask(config, tensors, dtype)
    said = params(config).get("group_size")
    own, axis = (int(tensors[name].bits.item()) for name in ("group_size", "axis"))
    if said in (None, own) or not axis:
        return found
    sound = parts(config, tensors)
    assert isinstance(sound, Zeroed)
    return _spread(tensors, lambda n, out, inputs: n // int(said), sound).dense(dtype)


def _mutant(
    id: str,
    bug: Bug,
    mechanism: str,
    links: tuple[str, ...],
    killed_by: tuple[str, ...],
    decode: Decode,
    bits: tuple[int, ...] = _ALL,
) -> Mutant:
    return Mutant(id, bug, mechanism, links, killed_by, ("hqq",), bits, decode)


_SEVERAL, _PLACES, _VALUES = (4, 3, 2, 1), (VECTORS, LAYOUTS), (VECTORS, ARITHMETIC)
HQQ: tuple[Mutant, ...] = (
    _mutant("HQ-01", Bug.NIBBLE_ORDER, "the lowest bits of a word hold the first rows", _BITPACK, _PLACES,
            _changed(_rows(_last_part_first)), _SEVERAL),
    _mutant("HQ-01b", Bug.PACK_AXIS, "a word holds rows that are neighbours", _BITPACK, _PLACES,
            _changed(_rows(_neighbours)), _SEVERAL),
    _mutant("HQ-02", Bug.SHAPE_PADDING, "rows that fill up words are cut off at the start", _THREE, _PLACES,
            _changed(_rows(_cut_at_the_start)), (3,)),
    _mutant("HQ-02b", Bug.SHAPE_PADDING, "parts are as long as the rows there are would have it", _THREE, _PLACES,
            _changed(_parts_of_rows_there_are), (3,)),
    _mutant("HQ-03", Bug.PACK_AXIS, "axis 0 is read as axis 1", _AXIS, _PLACES, _changed(_always_along_rows)),
    _mutant("HQ-03b", Bug.PACK_AXIS, "axis 1 is read as axis 0", _AXIS, _PLACES, _changed(_always_across)),
    _mutant("HQ-03c", Bug.GROUP_TAIL, "groups begin anew with each row", _QUANTIZE, _PLACES,
            _changed(_anew_with_each_row)),
    _mutant("HQ-03d", Bug.GROUP_INDEX, "along axis 0 groups are neighbouring outputs", _AXIS, _PLACES,
            _changed(_of_inputs)),
    _mutant("HQ-03e", Bug.PACK_AXIS, "along axis 0 what is folded is turned", _AXIS, _PLACES, _changed(_turned)),
    _mutant("HQ-04", Bug.ZERO_OFFSET, "zero points are added", _QUANTIZE, _VALUES, _changed(_added)),
    _mutant("HQ-04b", Bug.OP_ORDER_DTYPE, "zero points are taken from the product", _QUANTIZE, _VALUES,
            _valued(_after)),
    _mutant("HQ-04c", Bug.ZERO_OFFSET, "zero points are rounded to whole numbers", _QUANTIZE, _VALUES,
            _changed(_whole)),
    _mutant("HQ-04d", Bug.ZERO_OFFSET, "zero points are made codes", _QUANTIZE, _VALUES, _changed(_codes_only)),
    _mutant("HQ-05", Bug.PACK_AXIS, "codes stored as floats are cast, not taken as their bytes", _QUANTIZE, _PLACES,
            _changed(_by_value)),
    _mutant("HQ-06", Bug.ROUNDING, "the difference is not rounded", _QUANTIZE, _VALUES, _valued(_once)),
    _mutant("HQ-06b", Bug.ROUNDING, "a zero point is made an offset, as of an affine form", _QUANTIZE, _VALUES,
            _valued(_affine)),
    _mutant("HQ-07", Bug.OP_ORDER_DTYPE, "everything is computed in float16", _QUANTIZE, _VALUES,
            _valued(_computed_in("float16"))),
    _mutant("HQ-07b", Bug.OP_ORDER_DTYPE, "everything is computed in float32", _QUANTIZE, _VALUES,
            _valued(_computed_in("float32"))),
    _mutant("HQ-08", Bug.CONFIG_FALLBACK, "groups are as the configuration says, not the tensors", _QUANTIZE,
            ("policies",), _by_config),
    _mutant("HQ-08b", Bug.CONFIG_FALLBACK, "groups have 64 weights", _QUANTIZE, _PLACES, _changed(_groups_of_64)),
    _mutant("HQ-09", Bug.CONFIG_FALLBACK, "codes of 1.58 bits are read as 1", _QUANTIZE, (VECTORS,),
            _changed(_one_bit), (2,)),
    Mutant("HQ-10", Bug.ZERO_OFFSET, "zero points are biases as they are", _QUANTIZE, ("affine",), ("hqq",), _ALL,
           repack=_unscaled),
)  # fmt: skip
