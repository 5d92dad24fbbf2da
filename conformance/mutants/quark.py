"""Faults in reading AMD Quark's integers: signs, orders within words and bytes, axes, and zero points."""

from __future__ import annotations

import numpy as np

from ..formats.awq_gemm.packing import interleaved, natural
from ..formats.dialects import quark as dialect
from ..formats.parts import Integer
from .model import Bug, Config, Mutant, Tensors
from .wrap import spoilt

INTEGERS = ("quark_int",)
_PACK = ("https://pypi.org/project/amd-quark/0.13/",)
VECTORS, LAYOUTS, ARITHMETIC, SYNTHETIC = "vectors", "layouts", "arithmetic", "synthetic"


def _least(config: Config) -> int:
    given = dialect.arguments(config)
    return 1 << (given.bits - 1) if given.signed else 0


def _unsigned(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """Fields as they are stored, whatever type they have."""
    return found.with_(q=found.q ^ _least(config), z=found.z ^ _least(config))


def _unsigned_zeros(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """Codes in two's complement, and zero points without a sign."""
    least = _least(config)
    return found.with_(z=(found.z - least) % (1 << found.bits) + least)


def _moved(found: Integer, config: Config, *, from_order: bool) -> Integer:
    """Nibbles put into the other order of two, along the axis that words lie on."""
    given = dialect.arguments(config)
    if given.bits != 4 or given.interleaved == from_order:
        return found
    order = natural if from_order else interleaved
    turned = given.strategy == "group"
    rows = np.ascontiguousarray(found.q.T if turned else found.q)
    if rows.shape[1] % 8:
        return found
    q = order(rows)
    z = found.z if found.z.shape[1] % 8 or given.strategy == "tensor" else order(np.ascontiguousarray(found.z))
    return found.with_(q=np.ascontiguousarray(q.T if turned else q), z=z)


def _not_turned(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """Groups of a square matrix, read as if outputs came first."""
    square = found.q.shape[0] == found.q.shape[1] and dialect.arguments(config).strategy == "group"
    return found.with_(q=np.ascontiguousarray(found.q.T)) if square else found


def _lowest_first(found: Integer, config: Config, tensors: Tensors) -> Integer:
    """Four numbers of a byte, taken from its lowest bits on, along the axis that bytes lie on."""
    given = dialect.arguments(config)
    if given.dtype != "uint2":
        return found
    turned = given.strategy == "group"
    q = _backwards(found.q.T if turned else found.q)
    return found.with_(q=np.ascontiguousarray(q.T if turned else q), z=_backwards(found.z))


def _backwards(rows: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(rows.reshape(len(rows), -1, 4)[..., ::-1]).reshape(rows.shape)


def _without_zeros(found: Integer, config: Config, tensors: Tensors) -> Integer:
    return found.with_(z=np.full_like(found.z, _least(config)))


QUARK = (
    Mutant("QK-01", Bug.SIGNEDNESS, "numbers in two's complement are read without a sign", _PACK,
           (VECTORS, ARITHMETIC, SYNTHETIC), INTEGERS, (4, 8, 2), decode=spoilt(_unsigned)),
    Mutant("QK-01b", Bug.SIGNEDNESS, "codes have a sign, and their zero points none", _PACK,
           (VECTORS, ARITHMETIC, SYNTHETIC), INTEGERS, (4, 8, 2), decode=spoilt(_unsigned_zeros)),
    Mutant("QK-02", Bug.INTERLEAVE, "nibbles of pack_method reorder are left as they lie", _PACK,
           (VECTORS, LAYOUTS, SYNTHETIC), INTEGERS, (4,),
           decode=spoilt(lambda p, c, t: _moved(p, c, from_order=False))),
    Mutant("QK-02b", Bug.INTERLEAVE, "nibbles of pack_method order are put through AWQ's order", _PACK,
           (VECTORS, LAYOUTS, SYNTHETIC), INTEGERS, (4,),
           decode=spoilt(lambda p, c, t: _moved(p, c, from_order=True))),
    Mutant("QK-03", Bug.PACK_AXIS, "square matrices in groups are not turned", _PACK,
           (VECTORS, LAYOUTS, SYNTHETIC), INTEGERS, (4, 8, 2), decode=spoilt(_not_turned)),
    Mutant("QK-04", Bug.MISSING_TENSOR, "zero points are ignored", _PACK,
           (VECTORS, ARITHMETIC, LAYOUTS, SYNTHETIC), INTEGERS, (4, 8, 2), decode=spoilt(_without_zeros)),
    Mutant("QK-05", Bug.PACK_AXIS, "the four numbers of a byte are taken from its lowest bits on", _PACK,
           (VECTORS, LAYOUTS, SYNTHETIC), INTEGERS, (2,), decode=spoilt(_lowest_first)),
)  # fmt: skip
