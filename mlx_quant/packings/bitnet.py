"""BitNet in transformers: -1, 0 and 1 in two bits each, and one scale a matrix.

On disk: ``weight`` uint8 [out / 4, in], four outputs a byte: bits 2p and up of row ``r`` are the code of output
``p * out / 4 + r``, counted from -1. ``weight_scale`` [1] is a divisor in modules of ``bitlinear`` and a factor in
those of ``autobitlinear``:

    W = RN((q - 1) / s), or RN((q - 1) * s), in the dtype of the scale

The code 3, which no packer writes, is read as 2. Source: transformers 5.23.0, ``integrations/bitnet.py``
(``unpack_weights``, ``BitLinear``, ``AutoBitLinear``).
"""

from __future__ import annotations

import mlx.core as mx

from ..dialects.schemes import Scheme
from ..errors import MalformedCheckpoint
from ..weights.planes import Planes
from . import checks
from .protocol import Infos, Measured, Status, Tensors, Traits

ID = "bitnet"
TITLE = "BitNet"
STATUS: Status = "enabled"
BITS = (2,)
LAYOUTS = ("bitlinear", "autobitlinear")
MARKS = (".weight_scale",)
TENSORS = (".weight", ".weight_scale")
# Whole numbers under the dtype of a float are no dense weight: their scale is still to come. They are refused.
TRAITS = Traits(storage=checks.SCALES)

_CODES, _SCALE = (checks.leaf(suffix) for suffix in TENSORS)
_OUTPUTS = 4  # in a byte


def recognises(infos: Infos) -> bool:
    codes, scale = infos.get(_CODES), infos.get(_SCALE)
    if codes is None or scale is None or codes.dtype != "U8":
        return False
    return len(codes.shape) == 2 and scale.dtype in checks.SCALES and scale.shape == (1,)


def measure(scheme: Scheme, infos: Infos) -> Measured:
    checks.decoded(scheme, BITS, LAYOUTS, "linear_class")
    checks.present(infos, (_CODES, _SCALE), TENSORS)
    checks.dtype(infos, _CODES, ("U8",))
    rows, in_features = checks.matrix(infos, _CODES)
    checks.spread(infos, _SCALE, "tensor", rows * _OUTPUTS)
    return Measured(rows * _OUTPUTS, in_features, infos[_SCALE].mlx_dtype)


def decode(scheme: Scheme, tensors: Tensors) -> Planes:
    measure(scheme, checks.headers(tensors))
    checks.finite(tensors, _SCALE)
    divides = scheme.layout == LAYOUTS[0]
    if divides and not tensors[_SCALE].any().item():
        raise MalformedCheckpoint("non-finite-scales", "the codes are divided by zero", where=_SCALE)
    return Planes(tensors[_CODES], tensors[_SCALE].reshape(1), divides)


def remarks(scheme: Scheme, tensors: Tensors) -> list[str]:
    return list(scheme.notes)


def stand_in(scheme: Scheme, leaf: str, infos: Infos) -> mx.array:
    found = mx.zeros if leaf == _CODES else mx.ones
    return found(infos[leaf].shape, infos[leaf].mlx_dtype)
