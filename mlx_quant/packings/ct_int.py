"""compressed-tensors' ``int-quantized`` and ``naive-quantized``: one signed integer a byte.

On disk: ``weight`` int8 [out, in]; ``weight_scale`` [out, groups], [out, 1] or [1]; ``weight_zero_point`` int8 like it,
where the codes are asymmetric. Codes of fewer bits lie in bytes all the same. Source: compressed-tensors 0.19.0,
``compressors/naive_quantized``.
"""

from __future__ import annotations

import mlx.core as mx

from ..dialects.schemes import Scheme
from ..weights.bits import rows_as_words
from ..weights.integer import Integer
from . import checks
from .protocol import Infos, Measured, Status, Tensors

ID = "ct_int"
TITLE = "compressed-tensors (int-quantized)"
STATUS: Status = "enabled"
BITS = (2, 3, 4, 5, 6, 7, 8)
LAYOUTS = ("int-quantized", "naive-quantized")
MARKS = (".weight_scale",)
TENSORS = (".weight", ".weight_scale", ".weight_zero_point", ".input_scale", ".input_zero_point")

_CODES, _SCALES, _ZEROS = (checks.leaf(suffix) for suffix in TENSORS[:3])
# Signed bytes and unsigned ones counted from -128 differ in their highest bit.
_SIGN = 0x80


def recognises(infos: Infos) -> bool:
    found = infos.get(_CODES)
    return found is not None and found.dtype == "I8" and _SCALES in infos


def measure(scheme: Scheme, infos: Infos) -> Measured:
    checks.decoded(scheme, BITS, LAYOUTS, "format")
    checks.present(infos, (_CODES, _SCALES, *(() if scheme.sym else (_ZEROS,))), TENSORS)
    checks.dtype(infos, _CODES, ("I8",))
    out_features, in_features = checks.matrix(infos, _CODES)
    columns = checks.spread(infos, _SCALES, scheme.strategy, out_features)
    if scheme.strategy == "group" and columns * scheme.group_size != in_features:
        raise checks.bad_shape(
            infos, _SCALES, f"{in_features} input channels do not make {columns} groups of {scheme.group_size}"
        )
    if not scheme.sym:
        checks.dtype(infos, _ZEROS, ("I8",))
        if checks.spread(infos, _ZEROS, scheme.strategy, out_features) != columns:
            raise checks.bad_shape(infos, _ZEROS, f"expected one for each of {columns} groups")
    return Measured(out_features, in_features, infos[_SCALES].mlx_dtype)


def decode(scheme: Scheme, tensors: Tensors) -> Integer:
    found = measure(scheme, checks.headers(tensors))
    checks.finite(tensors, _SCALES)
    scales = checks.rows(tensors[_SCALES], found.out_features)
    zeros = mx.full(scales.shape, _SIGN, dtype=mx.uint8)
    if not scheme.sym:
        zeros = checks.rows(tensors[_ZEROS].view(mx.uint8) ^ _SIGN, found.out_features)
    return Integer(
        words=rows_as_words(tensors[_CODES].view(mx.uint8) ^ _SIGN),
        zeros=zeros,
        scales=scales,
        bits=8,
        in_features=found.in_features,
        group_size=scheme.group_size if scheme.strategy == "group" else found.in_features,
    )


def remarks(scheme: Scheme, tensors: Tensors) -> list[str]:
    return list(scheme.notes)


def stand_in(scheme: Scheme, leaf: str, infos: Infos) -> mx.array:
    return mx.zeros(infos[leaf].shape, infos[leaf].mlx_dtype)
