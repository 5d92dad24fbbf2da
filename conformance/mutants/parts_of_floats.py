"""Faults of readers of FP8 in parts: scales upside down, values of another float, dtypes of products and of results."""

from __future__ import annotations

import numpy as np

from ..bits.array import Array
from ..bits.floats import table
from ..bits.rounding import nearest
from ..formats.scaled import Scaled
from .floats import changed_parts, computed
from .model import Bug, Config, Mutant, Tensors
from .wrap import Decode

_QUANTO = "https://github.com/huggingface/optimum-quanto/blob/v0.2.7/optimum/quanto/tensor/"
_TORCHAO = "https://github.com/pytorch/ao/blob/v0.18.0/torchao/quantization/quant_primitives.py"
_VALUES = ("vectors", "arithmetic", "synthetic")


def _signed(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    return found.with_(values=np.arange(256).astype(np.uint8).view(np.int8).astype(np.float64))


def _e5m2(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    return found.with_(values=np.nan_to_num(table(5, 2, 15)))


def _divided(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    return found.with_(s=np.where(found.s == 0, 0.0, 1 / found.s))


def _along_inputs(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    """Scales of outputs go along the inputs, as far as there are."""
    rows, columns = found.s.shape
    if columns > 1 or rows == 1:
        return found
    return found.with_(s=np.resize(found.s, (1, found.shape[1])), block=(found.shape[0], 1))


def _first_scale(found: Scaled, config: Config, tensors: Tensors) -> Scaled:
    return found.with_(s=np.full_like(found.s, found.s.flat[0]))


def _half(found: Scaled, dtype: str) -> Array:
    """Scales go through bfloat16, whatever they are stored as."""
    return found.with_(s=nearest(found.s, "bfloat16").float64()).dense(dtype)


def _mutant(id: str, bug: Bug, mechanism: str, link: str, killed_by: tuple[str, ...], decode: Decode) -> Mutant:
    return Mutant(id, bug, mechanism, (link,), killed_by, ("fp8_parts",), (8,), decode)


PARTS_OF_FLOATS: tuple[Mutant, ...] = (
    _mutant("FT-01", Bug.SIGNEDNESS, "codes of FP8 in parts are read as signed bytes", _QUANTO + "qtype.py", _VALUES,
            changed_parts(_signed)),
    _mutant("FT-01b", Bug.SIGNEDNESS, "codes of FP8 in parts are read as E5M2", _QUANTO + "qtype.py", _VALUES,
            changed_parts(_e5m2)),
    _mutant("FT-02", Bug.SCALE_ENCODING, "scales of FP8 in parts divide", _TORCHAO, _VALUES, changed_parts(_divided)),
    _mutant("FT-03", Bug.PACK_AXIS, "scales of FP8 in parts go along the inputs", _TORCHAO,
            ("vectors", "layouts", "synthetic"), changed_parts(_along_inputs)),
    _mutant("FT-03b", Bug.GROUP_INDEX, "one scale of FP8 in parts is for all", _TORCHAO,
            ("vectors", "layouts", "synthetic"), changed_parts(_first_scale)),
    _mutant("FT-04", Bug.OP_ORDER_DTYPE, "scales of FP8 in parts are rounded to bfloat16", _QUANTO + "qbytes.py",
            _VALUES, computed(_half)),
)  # fmt: skip
