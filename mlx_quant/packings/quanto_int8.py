"""quanto's ``qint8``: one signed byte a code, one scale an output.

On disk: ``weight._data`` int8 [out, in]; ``weight._scale`` [out, 1], or [] of one output. ``W = RN(s * q)`` in the
dtype of the scales. Beside them lie ``input_scale`` and ``output_scale``, which belong to no weight. Source:
optimum-quanto 0.2.7, ``tensor/qbytes.py``, ``QBytesDequantizer``.
"""

from __future__ import annotations

import mlx.core as mx

from ..dialects.schemes import Scheme
from ..weights.bits import rows_as_words
from ..weights.integer import Integer
from . import checks
from .protocol import Infos, Measured, Status, Tensors

ID = "quanto_int8"
TITLE = "quanto int8"
STATUS: Status = "enabled"
BITS = (8,)
LAYOUTS = ("qint8",)
MARKS = (".weight._data", ".weight._scale")
TENSORS = (*MARKS, ".input_scale", ".output_scale")

_CODES, _SCALES = (checks.leaf(mark) for mark in MARKS)
# Signed bytes and unsigned ones counted from -128 differ in their highest bit.
_SIGN = 0x80


def recognises(infos: Infos) -> bool:
    found = infos.get(_CODES)
    return found is not None and found.dtype == "I8" and _SCALES in infos


def measure(scheme: Scheme, infos: Infos) -> Measured:
    checks.decoded(scheme, BITS, LAYOUTS, "weights")
    checks.present(infos, (_CODES, _SCALES), TENSORS)
    checks.dtype(infos, _CODES, ("I8",))
    out_features, in_features = checks.matrix(infos, _CODES)
    # Of a single output quanto stores the scale without axes.
    without_axes = out_features == 1 and infos[_SCALES].shape == ()
    checks.spread(infos, _SCALES, "tensor" if without_axes else "channel", out_features)
    return Measured(out_features, in_features, infos[_SCALES].mlx_dtype)


def decode(scheme: Scheme, tensors: Tensors) -> Integer:
    found = measure(scheme, checks.headers(tensors))
    checks.finite(tensors, _SCALES)
    scales = checks.rows(tensors[_SCALES], found.out_features)
    return Integer(
        words=rows_as_words(tensors[_CODES].view(mx.uint8) ^ _SIGN),
        zeros=mx.full(scales.shape, _SIGN, dtype=mx.uint8),
        scales=scales,
        bits=8,
        in_features=found.in_features,
        group_size=found.in_features,
    )


def remarks(scheme: Scheme, tensors: Tensors) -> list[str]:
    return list(scheme.notes)


def stand_in(scheme: Scheme, leaf: str, infos: Infos) -> mx.array:
    return mx.zeros(infos[leaf].shape, infos[leaf].mlx_dtype)
