"""Scales and biases of MLX's affine form, made on the CPU.

A CPU without half precision emulates it, a number at a time, and MLX's operations are calls into another thread. Here
products are computed in float32, which holds those of half precision exactly, and rounded as whole numbers.
"""

from __future__ import annotations

import mlx.core as mx
import numpy as np

from .host import in_memory
from .rounding import bfloat, half


def parameters(scales: mx.array, zeros: mx.array, dtype: mx.Dtype, repeat: int) -> tuple[mx.array, mx.array] | None:
    """Scales and ``RN(-z * s)`` as ``dtype``, [out, groups * repeat]; None where that is not the dtype of the scales,
    nor float32.

    Args:
        scales, zeros: [groups, out], evaluated; uint8 zeros.
    """
    if dtype not in (scales.dtype, mx.float32):
        return None
    single = singles(scales)
    with np.errstate(over="ignore"):  # which makes infinity, as it should
        biases = in_memory(zeros) * single
    np.negative(biases, out=biases)
    if dtype == mx.float32:
        found = single, biases
    elif dtype == mx.float16:
        found = in_memory(scales).view(np.uint16), half(biases)
    else:
        found = in_memory(scales), bfloat(biases)
    first, second = (_repeated(each.T, repeat) for each in found)
    return first.view(dtype), second.view(dtype)


def _repeated(values: np.ndarray, times: int) -> mx.array:
    found = np.empty((*values.shape, times), values.dtype)
    found[...] = values[..., None]
    return mx.array(found.reshape(len(values), -1))


def singles(array: mx.array) -> np.ndarray:
    """An evaluated array of float16, bfloat16 or float32, in float32."""
    memory = in_memory(array)
    if array.dtype == mx.bfloat16:
        return (memory.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return memory.astype(np.float32)
