"""torchao's integers in bytes: ``Int8Tensor``, and ``IntxUnpackedToInt8Tensor`` for codes of fewer bits.

On disk: ``_weight_qdata`` int8 [out, in]; ``_weight_scale`` [out / rows, in / columns] in blocks of rows by columns,
float32 of Int8Tensor, of the model's dtype else; ``_weight_zero_point`` int8 like it, unless the header of the file
says that there is none. ``W = RN(RN32(s * (q - z)))`` in the dtype that the header names, where a float32 scale makes
both roundings count. Codes of fewer bits lie in bytes all the same. Beside them lie parameters of activations, which
belong to no weight. Source: torchao 0.18.0, ``quantization/quant_primitives.py``, ``_dequantize_affine``.
"""

from __future__ import annotations

import mlx.core as mx

from ..dialects.schemes import Scheme
from ..errors import UnsupportedFormat
from ..files.folder import FLOATS
from ..weights.bits import rows_as_words
from ..weights.integer import Integer
from ..weights.stepped import Stepped
from . import checks
from .protocol import Infos, Measured, Status, Tensors

ID = "torchao_int8"
TITLE = "torchao int8"
STATUS: Status = "enabled"
BITS = (1, 2, 3, 4, 5, 6, 7, 8)
LAYOUTS = ("Int8Tensor", "IntxUnpackedToInt8Tensor")
MARKS = ("._weight_qdata", "._weight_scale", "._weight_zero_point")
TENSORS = (*MARKS, "._weight_act_quant_scale", "._weight_act_quant_zero_point")

_CODES, _SCALES, _ZEROS = (checks.leaf(mark) for mark in MARKS)
# Signed bytes and unsigned ones counted from -128 differ in their highest bit.
_SIGN = 0x80


def recognises(infos: Infos) -> bool:
    found = infos.get(_CODES)
    return found is not None and found.dtype == "I8" and _SCALES in infos


def measure(scheme: Scheme, infos: Infos) -> Measured:
    checks.decoded(scheme, BITS, LAYOUTS, "metadata")
    zeros = () if scheme.sym else (_ZEROS,)
    own = [suffix for suffix in TENSORS if checks.leaf(suffix) != _ZEROS or zeros]
    checks.present(infos, (_CODES, _SCALES, *zeros), own)
    checks.dtype(infos, _CODES, ("I8",))
    out_features, in_features = checks.matrix(infos, _CODES)
    assert scheme.block is not None
    rows, columns = scheme.block
    if out_features % rows or in_features % columns:
        raise checks.bad_shape(infos, _CODES, f"blocks of {rows} by {columns} do not divide it")
    grid = (out_features // rows, in_features // columns)
    checks.scales(infos, _SCALES)
    for name in (_SCALES, *zeros):
        if infos[name].shape != grid:
            raise checks.bad_shape(infos, name, f"{grid[0]} by {grid[1]} blocks of {rows} by {columns} were expected")
    if zeros and infos[_ZEROS].dtype in checks.SCALES:
        raise UnsupportedFormat(
            "unsupported-dtype", f"dtype {infos[_ZEROS].dtype}: zero points that are no whole numbers", where=_ZEROS
        )
    if zeros:
        checks.dtype(infos, _ZEROS, ("I8",))
    return Measured(out_features, in_features, FLOATS[str(scheme.dtype)], scales=infos[_SCALES].mlx_dtype)


def decode(scheme: Scheme, tensors: Tensors) -> Stepped:
    found = measure(scheme, checks.headers(tensors))
    checks.finite(tensors, _SCALES)
    assert scheme.block is not None
    rows, columns = scheme.block
    words = rows_as_words(tensors[_CODES].view(mx.uint8) ^ _SIGN)
    scales = _turned(tensors[_SCALES], rows)
    zeros = mx.full(scales.shape, _SIGN, dtype=mx.uint8)
    if not scheme.sym:
        zeros = _turned(tensors[_ZEROS].view(mx.uint8) ^ _SIGN, rows)
    return Stepped(Integer(words, zeros, scales, 8, found.in_features, columns), found.dtype)


def remarks(scheme: Scheme, tensors: Tensors) -> list[str]:
    return list(scheme.notes)


def stand_in(scheme: Scheme, leaf: str, infos: Infos) -> mx.array:
    return mx.zeros(infos[leaf].shape, infos[leaf].mlx_dtype)


def _turned(found: mx.array, rows: int) -> mx.array:
    """[out / rows, groups] as [groups, out]."""
    return mx.contiguous((mx.repeat(found, rows, axis=0) if rows > 1 else found).T)
