"""Scales and biases of MLX's affine form, made on the CPU.

A CPU without half precision emulates it, a number at a time, and MLX's operations are calls into another thread. Here
products are computed in float32, which holds those of half precision exactly, and rounded as whole numbers.
"""

from __future__ import annotations

import mlx.core as mx
import numpy as np

from .cpu import kernels
from .host import filled, in_memory
from .rounding import bfloat, half

# Made so many rows at a time: numbers of all their groups fit into a cache.
_ROWS = 1024


def parameters(scales: mx.array, zeros: mx.array, dtype: mx.Dtype, repeat: int) -> tuple[mx.array, mx.array] | None:
    """Scales and ``RN(-z * s)`` as ``dtype``, [out, groups * repeat]; None where that is not the dtype of the scales,
    nor float32.

    Args:
        scales, zeros: [groups, out], evaluated; uint8 zeros.
    """
    if dtype not in (scales.dtype, mx.float32):
        return None
    stored, points, kept = in_memory(scales), in_memory(zeros), dtype == scales.dtype
    found = kernels(stored.nbytes)

    def single(rows: slice) -> np.ndarray:
        return _singles(stored[:, rows], scales.dtype)

    def write_scales(rows: slice, memory: np.ndarray) -> None:
        if found is not None:
            found.list_parameters(stored[:, rows], scales.dtype, None, dtype, memory)
            return
        _repeated((stored[:, rows] if kept else single(rows)).view(memory.dtype), memory)

    def write_biases(rows: slice, memory: np.ndarray) -> None:
        if found is not None:
            found.list_parameters(stored[:, rows], scales.dtype, points[:, rows], dtype, memory)
            return
        with np.errstate(over="ignore"):  # which makes infinity, as it should
            biases = points[:, rows] * single(rows)
        np.negative(biases, out=biases)
        bits = half(biases) if dtype == mx.float16 else bfloat(biases) if dtype == mx.bfloat16 else biases
        _repeated(bits.view(memory.dtype), memory)

    shape = (stored.shape[1], len(stored) * repeat)
    made = [filled(shape, dtype, write, _ROWS) for write in (write_scales, write_biases)]
    return made[0], made[1]


def _repeated(values: np.ndarray, memory: np.ndarray) -> None:
    memory.reshape(len(memory), len(values), -1)[...] = values.T[..., None]


def singles(array: mx.array) -> np.ndarray:
    """An evaluated array of float16, bfloat16 or float32, in float32."""
    return _singles(in_memory(array), array.dtype)


def _singles(memory: np.ndarray, dtype: mx.Dtype) -> np.ndarray:
    if dtype == mx.bfloat16:
        return (memory.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return memory.astype(np.float32)
