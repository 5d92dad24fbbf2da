"""Faults of readers of VPTQ: codes and residuals, outliers, the order of inputs, and the steps of its arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ..bits.array import Array
from ..formats.vptq.packing import INDICES, Vectors, fields, stream
from .model import Bug, Mutant, Tensors
from .wrap import Decode, computed_from

_SOURCE = "https://github.com/microsoft/VPTQ/blob/main/vptq/"
_PACK, _GEMM, _LAYER = (_SOURCE + "utils/pack.py",), (_SOURCE + "ops/quant_gemm.py",), (_SOURCE + "layers/vqlinear.py",)
ARITHMETIC, LAYOUTS, VECTORS, SYNTHETIC = "arithmetic", "layouts", "vectors", "synthetic"
_ALL = (8, 12, 16, 4, 1)
_valued = partial(computed_from, Vectors)


def _changed(change: Callable[[Vectors, Tensors], Vectors]) -> Decode:
    """A decode with one of its parts changed."""
    return _valued(lambda found, tensors, dtype: change(found, tensors).dense(dtype))


def _no_residuals(found: Vectors, tensors: Tensors) -> Vectors:
    return found.with_(p=None, r=None)


def _not_apart(found: Vectors, tensors: Tensors) -> Vectors:
    """Outliers are left at 0."""
    return found if found.t is None else found.with_(t=np.zeros_like(found.t))


def _last(found: Vectors, tensors: Tensors, dtype: str) -> Array:
    """Outliers come after all other columns."""
    columns = np.roll(found.columns(), -found.apart, axis=1)
    return found.cast(found.normed(found.ordered(columns)), dtype)


def _not_inverted(found: Vectors, tensors: Tensors) -> Vectors:
    return found if found.perm is None else found.with_(perm=np.argsort(found.perm))


def _not_ordered(found: Vectors, tensors: Tensors) -> Vectors:
    return found.with_(perm=None)


def _before_order(found: Vectors, tensors: Tensors, dtype: str) -> Array:
    """Columns are scaled as they are stored."""
    return found.cast(found.ordered(found.normed(found.columns())), dtype)


def _of_outputs(found: Vectors, tensors: Tensors, dtype: str) -> Array:
    """Scales and biases are those of outputs, as far as there are any."""
    weight = found.ordered(found.columns())
    if found.s is None or found.b is None:
        return found.cast(weight, dtype)
    s, b = (np.resize(own, found.out)[:, None] for own in (found.s, found.b))
    return found.cast(found.rounded(weight * s) + b, dtype)


def _not_shifted(found: Vectors, tensors: Tensors) -> Vectors:
    return found if found.b is None else found.with_(b=np.zeros_like(found.b))


def _shifted_first(found: Vectors, tensors: Tensors, dtype: str) -> Array:
    weight = found.ordered(found.columns())
    if found.s is not None and found.b is not None:
        weight = found.rounded(weight + found.b) * found.s
    return found.cast(weight, dtype)


def _once(found: Vectors, tensors: Tensors, dtype: str) -> Array:
    """A product is added to before it is rounded."""
    weight = found.ordered(found.columns())
    return found.cast(weight if found.s is None or found.b is None else weight * found.s + found.b, dtype)


def _residuals_first(found: Vectors, tensors: Tensors) -> Vectors:
    """The residual's code is taken for the lower one."""
    if found.p is None or found.r is None:
        return found
    bits, more = (table.shape[1].bit_length() - 1 for table in (found.e, found.r))
    both = found.q | found.p << bits
    return found.with_(q=both >> more, p=both & ((1 << more) - 1))


def _cut(found: Vectors, tensors: Tensors) -> Vectors:
    """The code of a residual loses its highest bit."""
    if found.p is None or found.r is None:
        return found
    return found.with_(p=found.p & ((found.r.shape[1] >> 1) - 1))


def _no_field_across(found: Vectors, tensors: Tensors) -> Vectors:
    """What of a field lies in the next word is lost."""
    bits = found.e.shape[1].bit_length() - 1
    total = bits + (0 if found.r is None else found.r.shape[1].bit_length() - 1)
    place = np.arange(found.q.shape[2]) * total % 32
    both = fields(tensors[INDICES].bits, total, found.q.shape[2])
    both &= (1 << np.minimum(total, 32 - place)) - 1
    return found.with_(q=both & ((1 << bits) - 1), p=None if found.p is None else both >> bits)


def _highest_first(found: Vectors, tensors: Tensors) -> Vectors:
    """Bits of words are counted from the highest one."""
    bits = found.e.shape[1].bit_length() - 1
    total = bits + (0 if found.r is None else found.r.shape[1].bit_length() - 1)
    words = tensors[INDICES].bits
    turned = stream(fields(words, 1, words.shape[-1] * 32).reshape(*words.shape, 32)[..., ::-1], 1)[..., 0]
    both = fields(np.ascontiguousarray(turned), total, found.q.shape[2])
    return found.with_(q=both & ((1 << bits) - 1), p=None if found.p is None else both >> bits)


def _one_codebook(found: Vectors, tensors: Tensors) -> Vectors:
    return found.with_(e=np.broadcast_to(found.e[:1], found.e.shape))


def _rows_turned(found: Vectors, tensors: Tensors, dtype: str) -> Array:
    """The weights of an entry are those of neighbouring inputs."""
    rows = found.q.shape[1]
    codes = found.with_(out=rows * found.e.shape[2]).columns()[:, found.apart :]
    turned = codes.reshape(rows, found.e.shape[2], -1).swapaxes(1, 2).reshape(codes.shape)[: found.out]
    columns = np.concatenate([found.columns()[:, : found.apart], turned], axis=1)
    return found.cast(found.normed(found.ordered(columns)), dtype)


def _signed(found: Vectors, tensors: Tensors) -> Vectors:
    """Codes are read as signed bytes, and negative ones count from the end of a table."""
    if found.o is None or found.t is None:
        return found
    return found.with_(o=found.o.astype(np.int8).astype(np.int64) % len(found.t))


def _mutant(
    id: str, bug: Bug, mechanism: str, links: tuple[str, ...], killed_by: tuple[str, ...], decode: Decode
) -> Mutant:
    return Mutant(id, bug, mechanism, links, killed_by, ("vptq",), _ALL, decode)


_PLACES, _VALUES = (VECTORS, SYNTHETIC), (VECTORS, SYNTHETIC, ARITHMETIC)
VPTQ: tuple[Mutant, ...] = (
    _mutant("VQ-01", Bug.MISSING_TENSOR, "residuals of VPTQ's entries are not added", _GEMM, (*_VALUES, LAYOUTS),
            _changed(_no_residuals)),
    _mutant("VQ-02", Bug.MISSING_TENSOR, "VPTQ's outliers are left out", _GEMM, _PLACES, _changed(_not_apart)),
    _mutant("VQ-02b", Bug.PACK_AXIS, "VPTQ's outliers come after all other columns", _GEMM, _PLACES,
            _valued(_last)),
    _mutant("VQ-03", Bug.GROUP_INDEX, "VPTQ's permutation is not inverted", _GEMM, (*_PLACES, LAYOUTS),
            _changed(_not_inverted)),
    _mutant("VQ-03b", Bug.GROUP_INDEX, "VPTQ's permutation is not applied", _GEMM, (*_PLACES, LAYOUTS),
            _changed(_not_ordered)),
    _mutant("VQ-03c", Bug.GROUP_INDEX, "VPTQ's columns are scaled before they are put in order", _GEMM, _PLACES,
            _valued(_before_order)),
    _mutant("VQ-04", Bug.GROUP_INDEX, "VPTQ's scales and biases are taken for those of outputs", _GEMM,
            (*_VALUES, LAYOUTS), _valued(_of_outputs)),
    _mutant("VQ-05", Bug.OP_ORDER_DTYPE, "VPTQ's biases are left out", _GEMM, _VALUES, _changed(_not_shifted)),
    _mutant("VQ-05b", Bug.OP_ORDER_DTYPE, "VPTQ's biases are added before scales are multiplied", _GEMM, _VALUES,
            _valued(_shifted_first)),
    _mutant("VQ-05c", Bug.ROUNDING, "a product of VPTQ's is not rounded before a bias is added", _GEMM, _VALUES,
            _valued(_once)),
    _mutant("VQ-06", Bug.INTERLEAVE, "the code of VPTQ's residual is taken for the lower one", _PACK,
            (*_PLACES, LAYOUTS), _changed(_residuals_first)),
    _mutant("VQ-06b", Bug.CROSS_WORD, "the code of VPTQ's residual loses its highest bit", _PACK,
            (*_PLACES, LAYOUTS), _changed(_cut)),
    _mutant("VQ-07", Bug.CROSS_WORD, "what of VPTQ's fields lies in a next word is lost", _PACK, (*_PLACES, LAYOUTS),
            _changed(_no_field_across)),
    _mutant("VQ-07b", Bug.NIBBLE_ORDER, "bits of VPTQ's words are counted from the highest one", _PACK,
            (*_PLACES, LAYOUTS), _changed(_highest_first)),
    _mutant("VQ-08", Bug.GROUP_INDEX, "all of VPTQ's codes are looked up in the first codebook", _LAYER, _PLACES,
            _changed(_one_codebook)),
    _mutant("VQ-09", Bug.PACK_AXIS, "entries of VPTQ's codebooks are laid along inputs", _LAYER, (*_PLACES, LAYOUTS),
            _valued(_rows_turned)),
    _mutant("VQ-10", Bug.SIGNEDNESS, "codes of VPTQ's outliers are signed bytes", _GEMM, (VECTORS,),
            _changed(_signed)),
)  # fmt: skip
