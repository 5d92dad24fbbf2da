"""Faults in reading what stands behind a scaled activation of AutoAWQ."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..bits.array import Array
from ..bits.rounding import nearest
from ..formats.divided import Divided
from ..formats.registry import parts
from .model import Ask, Bug, Config, Mutant, Tensors
from .wrap import Decode

VECTORS, ARITHMETIC, SYNTHETIC = "vectors", "arithmetic", "synthetic"
_ACT = ("https://github.com/casper-hansen/AutoAWQ/blob/v0.2.9/awq/modules/act.py",)
_SCALE = ("https://github.com/casper-hansen/AutoAWQ/blob/v0.2.9/awq/quantize/scale.py",)


def _quotient(change: Callable[[Divided, str], Array]) -> Decode:
    """A decode that errs behind a scaled activation."""

    def decode(ask: Ask, config: Config, tensors: Tensors, dtype: str | None) -> Array:
        answer, found = ask(config, tensors, dtype), parts(config, tensors)
        if not isinstance(found, Divided):
            return answer
        with np.errstate(all="ignore"):
            return change(found, dtype or found.dtype)

    return decode


def _twice(values: np.ndarray, dtype: str) -> Array:
    return nearest(nearest(values, "float32").float64(), dtype)


def _matrix(found: Divided, dtype: str = "float32") -> np.ndarray:
    return found.matrix.dense(dtype).float64()


def _of_outputs(found: Divided, dtype: str) -> Array:
    return _twice(_matrix(found) / np.resize(found.c, found.shape[0])[:, None], dtype)


def _by_reciprocals(found: Divided, dtype: str) -> Array:
    return _twice(_matrix(found) * nearest(1 / found.c, "float32").float64(), dtype)


def _mutant(id: str, bug: Bug, mechanism: str, links: tuple[str, ...], decode: Decode) -> Mutant:
    return Mutant(id, bug, mechanism, links, (VECTORS, ARITHMETIC, SYNTHETIC), ("awq",), (4,), decode)


ACTIVATION = (
    _mutant("SA-01", Bug.MISSING_TENSOR, "the divisors of a scaled activation are left out", _ACT,
            _quotient(lambda found, dtype: found.matrix.dense(dtype))),
    _mutant("SA-02", Bug.SCALE_ENCODING, "inputs are multiplied by the divisors of a scaled activation", _SCALE,
            _quotient(lambda found, dtype: _twice(_matrix(found) * found.c, dtype))),
    _mutant("SA-03", Bug.PACK_AXIS, "the divisors of a scaled activation divide the outputs of the layer", _SCALE,
            _quotient(_of_outputs)),
    _mutant("SA-04", Bug.ROUNDING, "columns are multiplied by reciprocals of divisors, in float32", _ACT,
            _quotient(_by_reciprocals)),
    _mutant("SA-05", Bug.OP_ORDER_DTYPE, "a weight is rounded to the dtype of its scales before it is divided", _ACT,
            _quotient(lambda found, dtype: _twice(_matrix(found, found.dtype) / found.c, dtype))),
)  # fmt: skip
