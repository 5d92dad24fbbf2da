"""Faults of readers of bitsandbytes: halves of bytes, lists of numbers, blocks that cross rows, scales of scales."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ..bits.array import FLOATS, Array
from ..bits.floats import E2M1
from ..bits.rounding import nearest
from ..formats.bnb_4bit.packing import OWN, OWN_MAP, VALUES, Flat, said, unpacked
from ..formats.bnb_int8.packing import Rows
from ..formats.registry import parts
from .model import Ask, Bug, Config, Mutant, Tensors, github
from .wrap import Decode, computed_from

_valued = partial(computed_from, Flat)


def _four(change: Callable[[Flat, Tensors], Flat]) -> Decode:
    """A decode of 4 bits with one of its parts changed."""
    return _valued(lambda found, tensors, dtype: change(found, tensors).dense(dtype))


def _eight(value: Callable[[Rows, str], Array]) -> Decode:
    """A decode of int8 with an arithmetic of its own."""

    def decode(ask: Ask, config: Config, tensors: Tensors, dtype: str | None) -> Array:
        ask(config, tensors, dtype)
        found = parts(config, tensors)
        assert isinstance(found, Rows)
        with np.errstate(all="ignore"):
            return value(found, dtype or found.dtype)

    return decode


def _flipped(found: Flat, tensors: Tensors) -> Flat:
    """The low half of a byte first."""
    flat = np.append(found.q.ravel(), np.zeros(found.q.size % 2, np.int64))
    return found.with_(q=flat.reshape(-1, 2)[:, ::-1].ravel()[: found.q.size].reshape(found.shape))


def _listed(values: Callable[[str], np.ndarray]) -> Callable[[Flat, Tensors], Flat]:
    return lambda found, tensors: found.with_(values=values(said(tensors)[0]))


def _decimals(kind: str) -> np.ndarray:
    """FP4 to four decimals, as a table of upstream's has it."""
    return np.round(VALUES[kind], 4) if kind == "fp4" else VALUES[kind]


def _one_zero(found: Flat, tensors: Tensors, dtype: str) -> Array:
    dense = found.dense(dtype)
    return Array(dense.dtype, np.where(dense.float64() == 0, 0, dense.bits).astype(dense.bits.dtype))


def _in_rows(found: Flat, tensors: Tensors) -> Flat:
    """Blocks that begin anew with each row, as groups do elsewhere."""
    out, inputs = found.shape
    per_row = -(-inputs // found.block[1])
    own = np.arange(out)[:, None] * per_row + np.arange(inputs)[None, :] // found.block[1]
    spread = found.s.ravel()[np.minimum(own, found.s.size - 1)]
    return found.with_(s=spread, block=(1, 1))


def _rows_of_bytes(found: Flat, tensors: Tensors) -> Flat:
    """Rows that begin with a byte of their own."""
    out, inputs = found.shape
    flat = np.append(found.q.ravel(), np.zeros(out + 1, np.int64))
    start = np.arange(out)[:, None] * (inputs + inputs % 2)
    return found.with_(q=flat[np.minimum(start + np.arange(inputs), flat.size - 1)])


def _always_64(found: Flat, tensors: Tensors) -> Flat:
    blocks = np.minimum(np.arange(found.q.size) // 64, found.s.size - 1)
    return found.with_(s=found.s.ravel()[blocks], block=(1, 1))


def _nested(change: Callable[..., np.ndarray]) -> Callable[[Flat, Tensors], Flat]:
    """Other scales where they are packed: of bytes, their numbers, their own scales, the offset, and a block."""

    def changed(found: Flat, tensors: Tensors) -> Flat:
        if OWN not in tensors:
            return found
        own = said(tensors)[1]
        steps, scales = tensors[OWN_MAP].float64(), tensors[OWN].float64()
        bytes_ = tensors["weight.absmax"].bits
        return found.with_(s=change(bytes_, steps, scales, own["nested_offset"], own["nested_blocksize"]))

    return changed


def _half_offset(bytes_: np.ndarray, steps: np.ndarray, scales: np.ndarray, offset: float, size: int) -> np.ndarray:
    rounded = float(nearest(np.array(offset), "bfloat16").float64())
    return unpacked(bytes_, (steps, scales, rounded), size)


def _linear(bytes_: np.ndarray, steps: np.ndarray, scales: np.ndarray, offset: float, size: int) -> np.ndarray:
    """Bytes taken for whole numbers from -127 on."""
    return unpacked(bytes_, ((np.arange(256) - 127.0) / 127, scales, offset), size)


def _by_value(found: Flat, tensors: Tensors, dtype: str) -> Array:
    """Codes under the dtype of a float, whose values are cast to bytes."""
    weight = tensors["weight"]
    if weight.dtype not in FLOATS:
        return found.dense(dtype)
    octets = np.nan_to_num(weight.float64(), posinf=0, neginf=0).astype(np.int64).ravel() & 0xFF
    codes = np.resize(np.stack([octets >> 4, octets & 15], axis=1).ravel(), found.q.size)
    return found.with_(q=codes.reshape(found.shape)).dense(dtype)


def _half_scales(found: Flat, tensors: Tensors, dtype: str) -> Array:
    return found.with_(s=nearest(found.s, "bfloat16").float64()).dense(dtype)


def _half_numbers(found: Flat, tensors: Tensors, dtype: str) -> Array:
    """Numbers are looked up in the dtype of the weight."""
    return found.with_(values=nearest(found.values, dtype).float64()).dense(dtype)


def _once(found: Rows, dtype: str) -> Array:
    """One product, with a scale that has the factor in it."""
    scales = nearest(found.s * float(np.float32(found.factor)), "float32").float64()
    return nearest(nearest(found.q * scales[:, None], "float32").float64(), dtype)


def _divided(found: Rows, dtype: str) -> Array:
    products = nearest(found.q * found.s[:, None], "float32").float64()
    return nearest(nearest(products / 127, "float32").float64(), dtype)


def _factor(factor: float) -> Callable[[Rows, str], Array]:
    return lambda found, dtype: found.with_(factor=factor).dense(dtype)


def _per_input(found: Rows, dtype: str) -> Array:
    """Scales along the inputs, as far as there are."""
    scales = np.resize(found.s, found.q.shape[1])[None, :]
    products = nearest(found.q * scales, "float32").float64() * float(np.float32(found.factor))
    return nearest(nearest(products, "float32").float64(), dtype)


def _unsigned(found: Rows, dtype: str) -> Array:
    return found.with_(q=found.q & 0xFF).dense(dtype)


ARITHMETIC, LAYOUTS, VECTORS = "arithmetic", "layouts", "vectors"
_SOURCE = "https://github.com/bitsandbytes-foundation/bitsandbytes/blob/0.50.2/bitsandbytes/"
_FUNCTIONAL, _UTILS, _CPU = (
    (_SOURCE + file,) for file in ("functional.py", "backends/utils.py", "backends/cpu/ops.py")
)
_DEFAULT = (_SOURCE + "backends/default/ops.py",)
_QLORA = ("https://arxiv.org/abs/2305.14314",)
_OFFSET = github("bitsandbytes-foundation/bitsandbytes#1971")
_STORAGE = github("bitsandbytes-foundation/bitsandbytes#1295", "bitsandbytes-foundation/bitsandbytes#1279")
_TAIL = github("bitsandbytes-foundation/bitsandbytes#1884")
_LARGE = github("bitsandbytes-foundation/bitsandbytes#565")
_INT8 = github("bitsandbytes-foundation/bitsandbytes#1142")


def _mutant(
    id: str, bug: Bug, mechanism: str, links: tuple[str, ...], killed_by: tuple[str, ...], decode: Decode
) -> Mutant:
    return Mutant(id, bug, mechanism, links, killed_by, ("bnb_4bit",), (4,), decode)


def _of_int8(
    id: str, bug: Bug, mechanism: str, links: tuple[str, ...], killed_by: tuple[str, ...], decode: Decode
) -> Mutant:
    return Mutant(id, bug, mechanism, links, killed_by, ("bnb_int8",), (8,), decode)


BITSANDBYTES: tuple[Mutant, ...] = (
    _mutant("BN-01", Bug.SCALE_ENCODING, "FP4 is read as E2M1", _FUNCTIONAL, (VECTORS, ARITHMETIC),
            _four(_listed(lambda kind: E2M1 / 6 if kind == "fp4" else VALUES[kind]))),
    _mutant("BN-01b", Bug.SCALE_ENCODING, "FP4 has four decimals", _UTILS, (VECTORS, ARITHMETIC),
            _four(_listed(_decimals))),
    _mutant("BN-01c", Bug.MISLABELLED, "every module is NF4, whatever its quant_state is called", _QLORA,
            (VECTORS, ARITHMETIC), _four(_listed(lambda kind: VALUES["nf4"]))),
    _mutant("BN-02", Bug.NIBBLE_ORDER, "the low half of a byte comes first", _DEFAULT, (VECTORS, LAYOUTS),
            _four(_flipped)),
    _mutant("BN-03", Bug.GROUP_TAIL, "blocks begin anew with each row", _TAIL, (VECTORS, LAYOUTS), _four(_in_rows)),
    _mutant("BN-03b", Bug.SHAPE_PADDING, "rows of odd length are padded to whole bytes", _CPU, (VECTORS, LAYOUTS),
            _four(_rows_of_bytes)),
    _mutant("BN-04", Bug.CONFIG_FALLBACK, "blocks have 64 weights, whatever the quant_state says", _LARGE,
            (VECTORS, LAYOUTS), _four(_always_64)),
    _mutant("BN-05", Bug.ZERO_OFFSET, "the offset of packed scales is left out", _QLORA, (VECTORS, ARITHMETIC),
            _four(_nested(lambda b, steps, own, offset, size: unpacked(b, (steps, own, 0.0), size)))),
    _mutant("BN-05b", Bug.OP_ORDER_DTYPE, "the offset of packed scales is rounded to bfloat16", _OFFSET,
            (VECTORS, ARITHMETIC), _four(_nested(_half_offset))),
    _mutant("BN-05c", Bug.SCALE_ENCODING, "packed scales are read as whole numbers, not by their map", _QLORA,
            (VECTORS,), _four(_nested(_linear))),
    _mutant("BN-05d", Bug.GROUP_INDEX, "the first scale of scales stands for all", _FUNCTIONAL, (VECTORS, ARITHMETIC),
            _four(_nested(lambda b, steps, own, offset, size: unpacked(b, (steps, 0 * own + own[0], offset), size)))),
    _mutant("BN-06", Bug.SIGNEDNESS, "a zero loses its sign", _DEFAULT, (VECTORS, ARITHMETIC), _valued(_one_zero)),
    _mutant("BN-07", Bug.PACK_AXIS, "codes stored as floats are cast, not taken as their bytes", _STORAGE,
            (VECTORS, LAYOUTS), _valued(_by_value)),
    _mutant("BN-10", Bug.OP_ORDER_DTYPE, "scales are rounded to bfloat16 before the product", _CPU,
            (VECTORS, ARITHMETIC), _valued(_half_scales)),
    _mutant("BN-10b", Bug.OP_ORDER_DTYPE, "numbers are looked up in the dtype of the weight", _DEFAULT,
            (VECTORS, ARITHMETIC), _valued(_half_numbers)),
    _of_int8("BN-08", Bug.ROUNDING, "scale and factor are multiplied first", _INT8, (VECTORS, ARITHMETIC),
             _eight(_once)),
    _of_int8("BN-08b", Bug.ROUNDING, "products are divided by 127", _INT8, (VECTORS, ARITHMETIC), _eight(_divided)),
    _of_int8("BN-08c", Bug.SCALE_ENCODING, "the factor is 1 / 128", _FUNCTIONAL, (VECTORS, ARITHMETIC),
             _eight(_factor(1 / 128))),
    _of_int8("BN-08d", Bug.SCALE_ENCODING, "the factor is left out", _INT8, (VECTORS, ARITHMETIC),
             _eight(_factor(1.0))),
    _of_int8("BN-09", Bug.PACK_AXIS, "SCB belongs to the inputs", _INT8, (VECTORS, LAYOUTS), _eight(_per_input)),
    _of_int8("BN-09b", Bug.SIGNEDNESS, "bytes are read without a sign", _FUNCTIONAL, (VECTORS, LAYOUTS),
             _eight(_unsigned)),
)  # fmt: skip
