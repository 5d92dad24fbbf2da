"""Faults of readers of AQLM: codes, the places of blocks, and the roundings of sums."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ..bits.array import Array
from ..bits.rounding import nearest
from ..formats.aqlm.packing import CODES, Additive
from .model import Bug, Mutant, Tensors
from .wrap import Decode, computed_from

_SOURCE = "https://github.com/Vahe1994/AQLM/blob/e79a896ed6656fe4ed06193d42d004e7d0bbdbb2/inference_lib/src/aqlm/"
_UTILS, _INFERENCE = (_SOURCE + "utils.py",), (_SOURCE + "inference.py",)
_KERNELS = (_SOURCE + "inference_kernels/cuda_kernel.cu",)
ARITHMETIC, LAYOUTS, VECTORS, SYNTHETIC = "arithmetic", "layouts", "vectors", "synthetic"
_ALL = (8, 16, 12, 4, 1)
_valued = partial(computed_from, Additive)


def _changed(change: Callable[[Additive, Tensors], Additive]) -> Decode:
    """A decode with one of its parts changed."""
    return _valued(lambda found, tensors, dtype: change(found, tensors).dense(dtype))


def _as_stored(found: Additive, tensors: Tensors) -> Additive:
    """Whole words are codes, and the last entry is taken for what is beyond the table."""
    stored = tensors[CODES].bits
    unsigned = stored.astype(np.int64) & ((1 << 8 * stored.itemsize) - 1)
    return found.with_(q=np.minimum(unsigned, found.e.shape[1] - 1))


def _blocks_turned(found: Additive, tensors: Tensors) -> Additive:
    """An entry is read column by column."""
    return found.with_(e=found.e.swapaxes(2, 3).reshape(found.e.shape))


def _codes_turned(found: Additive, tensors: Tensors) -> Additive:
    """Codes as aqlm turns them for its kernel for CPUs, given to a reader that does not expect it."""
    out, inputs, books = found.q.shape
    return found.with_(q=found.q.reshape(inputs, out, books).swapaxes(0, 1))


def _planes(found: Additive, tensors: Tensors) -> Additive:
    """The codes of one codebook after those of another."""
    out, inputs, books = found.q.shape
    return found.with_(q=np.moveaxis(found.q.reshape(books, out, inputs), 0, 2))


def _first_only(found: Additive, tensors: Tensors) -> Additive:
    return found.with_(q=found.q[..., :1], e=found.e[:1])


def _one_table(found: Additive, tensors: Tensors) -> Additive:
    """Codes of all codebooks are looked up in the first one."""
    return found.with_(e=np.broadcast_to(found.e[:1], found.e.shape))


def _scale_an_output(found: Additive, tensors: Tensors, dtype: str) -> Array:
    """Scales of rows of blocks are dealt to outputs in turn."""
    rounded = nearest(found.sums().astype(np.float64), found.dtype).float64()
    scales = found.s[np.arange(found.shape[0]) % len(found.s)]
    return nearest(nearest(found.matrix(rounded) * scales[:, None], found.dtype).float64(), dtype)


def _step_by_step(found: Additive, tensors: Tensors, dtype: str) -> Array:
    """Each sum is rounded to the dtype of the codebooks."""
    total = np.zeros((*found.q.shape[:2], *found.block))
    for number in range(found.q.shape[2]):
        total = nearest(total + found.entries(number).astype(np.float64), found.dtype).float64()
    return found.scaled(total, dtype)


def _once(found: Additive, tensors: Tensors, dtype: str) -> Array:
    """The sum of float32 is multiplied before anything is rounded."""
    return nearest(nearest(found.matrix(found.sums() * found.s[:, None, None, None]), found.dtype).float64(), dtype)


def _scaled_first(found: Additive, tensors: Tensors, dtype: str) -> Array:
    """Each entry is multiplied, then they are added."""
    total = np.zeros((*found.q.shape[:2], *found.block), np.float32)
    for number in range(found.q.shape[2]):
        products = nearest(found.entries(number).astype(np.float64) * found.s[:, None, None, None], found.dtype)
        total = total + products.float64().astype(np.float32)
    return nearest(nearest(found.matrix(total.astype(np.float64)), found.dtype).float64(), dtype)


def _from_the_first(found: Additive, tensors: Tensors, dtype: str) -> Array:
    """The sum begins with the first entry, whose zero keeps its sign."""
    total = found.entries(0)
    for number in range(1, found.q.shape[2]):
        total = total + found.entries(number)
    return found.scaled(nearest(total.astype(np.float64), found.dtype).float64(), dtype)


def _away_from_zero(found: Additive, tensors: Tensors, dtype: str) -> Array:
    """Half of the last bit of a bfloat16 is added to a sum, and what is below is cut off."""
    if found.dtype != "bfloat16":
        return found.dense(dtype)
    bits = (found.sums().view(np.uint32).astype(np.int64) + 0x8000) >> 16
    return found.scaled(Array("bfloat16", bits.astype(np.uint16)).float64(), dtype)


def _mutant(
    id: str,
    bug: Bug,
    mechanism: str,
    links: tuple[str, ...],
    killed_by: tuple[str, ...],
    decode: Decode,
    bits: tuple[int, ...] = _ALL,
) -> Mutant:
    return Mutant(id, bug, mechanism, links, killed_by, ("aqlm",), bits, decode)


_PLACES, _VALUES = (VECTORS, SYNTHETIC), (VECTORS, SYNTHETIC, ARITHMETIC)
AQLM: tuple[Mutant, ...] = (
    _mutant("AQ-01", Bug.SIGNEDNESS, "codes of AQLM are whole words, and not what is left of them modulo 2**bits",
            _UTILS, (VECTORS, LAYOUTS, SYNTHETIC, "policies"), _changed(_as_stored), (12, 4, 1)),
    _mutant("AQ-02", Bug.PACK_AXIS, "entries of AQLM's codebooks are read column by column", _UTILS, _PLACES,
            _changed(_blocks_turned)),
    _mutant("AQ-03", Bug.PACK_AXIS, "AQLM's codes are read turned, as aqlm turns them in place for a CPU", _INFERENCE,
            (*_PLACES, LAYOUTS), _changed(_codes_turned)),
    _mutant("AQ-04", Bug.PACK_AXIS, "codes of one of AQLM's codebooks lie after those of another", _UTILS,
            (*_PLACES, LAYOUTS), _changed(_planes)),
    _mutant("AQ-05", Bug.GROUP_INDEX, "only the first of AQLM's codebooks is read", _UTILS, (*_VALUES, LAYOUTS),
            _changed(_first_only)),
    _mutant("AQ-05b", Bug.GROUP_INDEX, "all of AQLM's codes are looked up in the first codebook", _UTILS,
            (*_VALUES, LAYOUTS), _changed(_one_table)),
    _mutant("AQ-06", Bug.OP_ORDER_DTYPE, "sums of AQLM's entries are rounded step by step", _KERNELS, _PLACES,
            _valued(_step_by_step)),
    _mutant("AQ-07", Bug.OP_ORDER_DTYPE, "AQLM's sum is multiplied before it is rounded", _KERNELS, _PLACES,
            _valued(_once)),
    _mutant("AQ-07b", Bug.OP_ORDER_DTYPE, "AQLM's entries are multiplied before they are added", _KERNELS, _PLACES,
            _valued(_scaled_first)),
    _mutant("AQ-08", Bug.GROUP_INDEX, "scales of AQLM's rows of blocks are dealt to outputs", _UTILS,
            (*_PLACES, LAYOUTS), _valued(_scale_an_output)),
    _mutant("AQ-09", Bug.OP_ORDER_DTYPE, "an entry of -0 keeps its sign, though AQLM's sum begins with 0", _UTILS,
            _VALUES, _valued(_from_the_first)),
    _mutant("AQ-10", Bug.OP_ORDER_DTYPE, "a sum between two bfloat16 is rounded away from zero", _UTILS,
            (SYNTHETIC, ARITHMETIC), _valued(_away_from_zero)),
)  # fmt: skip
