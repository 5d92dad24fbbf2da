"""Quark's integers, packed and taken apart in NumPy.

Numbers in two's complement are counted from the least one here, so that codes and zero points are unsigned. Source:
amd-quark 0.13, ``torch/utils/pack.py`` and ``torch/export/nn/modules/realquantizer.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.fields import fields, words
from ..awq_gemm.packing import interleaved, natural
from ..dialects import quark as dialect
from ..parts import Config, Integer, Tensors

WIDTHS = (4, 8, 2)
DTYPES = ("uint4", "int4", "uint8", "int8", "uint2", "int2")
_STORED = {"uint8": np.uint8, "int8": np.int8, "int2": np.int32}
# Numbers in one element of a tensor, where they are more than one.
_IN_ONE = {"uint4": 8, "int4": 8, "uint2": 4}
# Of uint2, where the first number lies highest.
_SHIFTS = np.array([6, 4, 2, 0])


def config(bits: int, group_size: int, dtype: str = "", **changes: Any) -> dict[str, Any]:
    """Unsigned codes in groups; -1 is a scale for each output."""
    weight = dialect.weight(dtype or f"uint{bits}", "channel" if group_size == -1 else "group", group_size, **changes)
    return dialect.config(weight)


def config_of(config: Config, module: str) -> dict[str, Any]:
    return dialect.config_of(config, module)


def numbers_in(given: dialect.Arguments) -> int:
    """How many numbers an element of ``weight`` holds."""
    return _IN_ONE.get(given.dtype, 1)


def group_size(config: Config, in_features: int) -> int:
    size = dialect.arguments(config).size
    return in_features if size == -1 else size


def pack(codes: np.ndarray, zeros: np.ndarray, scales: Array, *, bits: int = 4, **options: Any) -> dict[str, Array]:
    """The tensors of codes [out, in], zero points and scales [groups, out], as :func:`config` describes them."""
    size = -1 if len(zeros) == 1 else codes.shape[1] // len(zeros)
    return packed(config(bits, size), codes, zeros, scales)


def packed(config: Config, codes: np.ndarray, zeros: np.ndarray, scales: Array) -> dict[str, Array]:
    """The same under another config of these groups; with one scale for all, all columns are alike."""
    given = dialect.arguments(config)
    grouped = given.strategy == "group"
    of_weights = np.ascontiguousarray(codes.T if grouped else codes)
    of_groups = {"group": zeros, "channel": zeros[:1], "tensor": zeros[:1, :1]}[given.strategy]
    shape = {"group": of_groups.shape, "channel": (of_groups.shape[1],), "tensor": ()}[given.strategy]
    kept = {"group": scales.bits, "channel": scales.bits[0], "tensor": scales.bits[0, 0]}[given.strategy]
    if numbers_in(given) > 1 and given.strategy == "tensor":
        # A zero point without axes is no nibble. Quark has none of uint2.
        lone = Array.of(np.array(int(zeros[0, 0]) - _least(given), np.int32 if given.bits == 4 else np.uint8))
        return {
            "weight": Array.of(_stored(given, of_weights)),
            "weight_scale": Array(scales.dtype, np.array(kept)),
            "weight_zero_point": lone,
        }
    rows = _stored(given, of_groups)
    return {
        "weight": Array.of(_stored(given, of_weights)),
        "weight_scale": Array(scales.dtype, np.ascontiguousarray(kept).reshape(shape)),
        "weight_zero_point": Array.of(rows.reshape(rows.shape if grouped else rows.shape[1:] if shape else ())),
    }


def _least(given: dialect.Arguments) -> int:
    """How far the least number of a type lies below zero."""
    return 1 << (given.bits - 1) if given.signed else 0


def _stored(given: dialect.Arguments, rows: np.ndarray) -> np.ndarray:
    """Elements of unsigned numbers [rows, n]."""
    values = rows.astype(np.int64) - _least(given)
    if given.dtype in _STORED:
        return values.astype(_STORED[given.dtype])
    if given.bits == 2:
        return (values.reshape(len(values), -1, 4) << _SHIFTS).sum(axis=-1).astype(np.uint8)
    nibbles = values & 15
    return words(interleaved(nibbles) if given.interleaved else nibbles, 4)


def _numbers(given: dialect.Arguments, rows: np.ndarray) -> np.ndarray:
    """Inverse of :func:`_stored`."""
    if given.dtype in _STORED:
        return rows.astype(np.int64) + _least(given)
    if given.bits == 2:
        return (rows.astype(np.int64)[..., None] >> _SHIFTS & 3).reshape(len(rows), -1)
    found = fields(rows, 1, 4).astype(np.int64)
    return (natural(found) if given.interleaved else found) ^ _least(given)


def parts(config: Config, tensors: Tensors) -> Integer:
    """A sound module taken apart."""
    given = dialect.arguments(config)
    q = _numbers(given, tensors["weight"].bits)
    q = q.T if given.strategy == "group" else q
    out, in_features = q.shape
    stored, zeros = tensors["weight_scale"], tensors["weight_zero_point"].bits
    if given.strategy == "group":
        scales, z = stored, _numbers(given, zeros)
    else:
        scales = Array(stored.dtype, np.ascontiguousarray(np.broadcast_to(stored.bits.reshape(1, -1), (1, out))))
        if given.strategy == "channel":
            z = _numbers(given, zeros.reshape(1, -1))
        else:
            z = np.full((1, out), int(zeros.reshape(())) + _least(given), np.int64)
    g = np.arange(in_features) // (in_features if given.size == -1 else given.size)
    return Integer.of(q, z, scales, g, given.bits)
