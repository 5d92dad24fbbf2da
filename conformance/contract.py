"""The exactness contract in integers and NumPy float64: what a decoder must give, written from the formats' own words.

It shares nothing with any subject. A product ``s * (q - z)`` of a scale (at most 24 significant bits) and a difference
(at most 5) is exact in float64, so rounding it once is all there is to the arithmetic.
"""

from __future__ import annotations

import numpy as np

from .arrays import Array

FORMATS = ("awq", "gptq")

# dtype: significant bits, exponent of the smallest normal number.
_PRECISION = {"float16": (11, -14), "bfloat16": (8, -126), "float32": (24, -126)}
_LARGEST_EXPONENT = {"float16": 15, "bfloat16": 127, "float32": 127}

SHIFTS = 4 * np.arange(8, dtype=np.uint32)
# Natural column j of each eight is nibble NIBBLE_OF_COLUMN[j] of an AWQ gemm word (autoawq 0.2.9, AWQ_REVERSE_ORDER).
NIBBLE_OF_COLUMN = (0, 4, 1, 5, 2, 6, 3, 7)


def nearest(exact: np.ndarray, dtype: str) -> Array:
    """float64 values rounded once to ``dtype``: to nearest, ties to even, beyond the range to infinity."""
    precision, smallest = _PRECISION[dtype]
    exponent = np.maximum(np.frexp(exact)[1] - 1, smallest)
    # Scaling by a power of two is exact, and rint rounds ties to even: what is left is a whole number of quanta.
    with np.errstate(over="ignore"):
        rounded = np.ldexp(np.rint(np.ldexp(exact, precision - 1 - exponent)), exponent - precision + 1)
    rounded = np.where(np.abs(rounded) >= 2.0 ** (_LARGEST_EXPONENT[dtype] + 1), np.copysign(np.inf, exact), rounded)
    if dtype == "bfloat16":
        return Array("bfloat16", (rounded.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16))
    return Array.of(rounded.astype(dtype))


def fields(words: np.ndarray, axis: int) -> np.ndarray:
    """Nibbles of int32 words, lowest first, laid out along ``axis``."""
    spread = (np.expand_dims(words.view(np.uint32), axis + 1) >> (SHIFTS[:, None] if axis == 0 else SHIFTS)) & 15
    shape = list(words.shape)
    shape[axis] *= 8
    return spread.reshape(shape)


def words(values: np.ndarray) -> np.ndarray:
    """int32 [rows, columns // 8] of fields [rows, columns], lowest nibble first."""
    packed = (values.reshape(len(values), -1, 8).astype(np.uint32) << SHIFTS).sum(axis=2, dtype=np.uint32)
    return packed.view(np.int32)


def natural(values: np.ndarray) -> np.ndarray:
    """Fields [rows, columns] in the order of AWQ's nibbles, put into the order of its columns."""
    eights = values.reshape(len(values), -1, 8)
    return eights[:, :, list(NIBBLE_OF_COLUMN)].reshape(values.shape)


def interleaved(values: np.ndarray) -> np.ndarray:
    """Inverse of :func:`natural`."""
    eights = values.reshape(len(values), -1, 8)
    return eights[:, :, [NIBBLE_OF_COLUMN.index(nibble) for nibble in range(8)]].reshape(values.shape)


def gptq_tensors(codes: np.ndarray, zeros: np.ndarray, scales: Array, g_idx: np.ndarray | None) -> dict[str, Array]:
    """A GPTQ module: codes [out, in] packed along ``in``, zero points [groups, out] minus one along ``out``."""
    tensors = {
        "qweight": Array.of(np.ascontiguousarray(words(codes).T)),
        "qzeros": Array.of(words((zeros.astype(np.int64) - 1) % 16)),
        "scales": scales,
    }
    return tensors if g_idx is None else tensors | {"g_idx": Array.of(g_idx.astype(np.int32))}


def awq_tensors(codes: np.ndarray, zeros: np.ndarray, scales: Array) -> dict[str, Array]:
    """An AWQ gemm module: codes [out, in] and zero points [groups, out], both interleaved along ``out``."""
    return {
        "qweight": Array.of(words(interleaved(np.ascontiguousarray(codes.T)))),
        "qzeros": Array.of(words(interleaved(zeros))),
        "scales": scales,
    }


def config(format: str, group_size: int) -> dict[str, object]:
    """The plainest ``quantization_config`` of an asymmetric module."""
    if format == "gptq":
        return {"quant_method": "gptq", "bits": 4, "group_size": group_size, "sym": False, "desc_act": False}
    return {"quant_method": "awq", "bits": 4, "group_size": group_size, "version": "gemm", "zero_point": True}


def tensors(format: str, codes: np.ndarray, zeros: np.ndarray, scales: Array) -> dict[str, Array]:
    """A module with consecutive groups, in either format."""
    return gptq_tensors(codes, zeros, scales, None) if format == "gptq" else awq_tensors(codes, zeros, scales)
