"""compressed-tensors' ``int-quantized`` and ``naive-quantized``, packed and taken apart in NumPy.

Codes and zero points are signed bytes in the file; here they are counted from -128, so that they are unsigned. Source:
compressed-tensors 0.19.0, ``compressors/naive_quantized/base.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ..dialects import compressed_tensors as dialect
from ..parts import Config, Integer, Tensors

WIDTHS = (8,)
FORMAT = "int-quantized"
FORMATS = (FORMAT, "naive-quantized")


def config(bits: int, group_size: int) -> dict[str, Any]:
    return dialect.config(FORMAT, bits, group_size)


def config_of(config: Config, module: str) -> dict[str, Any]:
    return dialect.config_of(config, module)


def group_size(config: Config, in_features: int) -> int:
    size = dialect.arguments(config).size
    return in_features if size == -1 else size


def pack(
    codes: np.ndarray, zeros: np.ndarray, scales: Array, *, bits: int = 8, symmetric: bool = False, tensor: bool = False
) -> dict[str, Array]:
    """The tensors of codes [out, in], zero points and scales [groups, out]; with ``tensor`` all columns are alike."""

    def spread(values: np.ndarray) -> np.ndarray:
        return values[0, :1].copy() if tensor else np.ascontiguousarray(values.T)

    tensors = {
        "weight": Array.of((codes.astype(np.int64) - 128).astype(np.int8)),
        "weight_scale": Array(scales.dtype, spread(scales.bits)),
    }
    if not symmetric:
        tensors["weight_zero_point"] = Array.of(spread((zeros.astype(np.int64) - 128).astype(np.int8)))
    return tensors


def parts(config: Config, tensors: Tensors) -> Integer:
    """A sound module taken apart."""
    given, stored = dialect.arguments(config), tensors["weight_scale"]
    q = tensors["weight"].bits.astype(np.int64) + 128
    out, in_features = q.shape

    def spread(values: np.ndarray) -> np.ndarray:
        grid = values.reshape(1, 1) if given.strategy == "tensor" else values
        return np.ascontiguousarray(np.broadcast_to(grid, (out, grid.shape[1])).T)

    scales = Array(stored.dtype, spread(stored.bits))
    z = np.full(scales.shape, 128, np.int64)
    if not given.symmetric:
        z = spread(tensors["weight_zero_point"].bits).astype(np.int64) + 128
    g = np.arange(in_features) // (in_features if given.size == -1 else given.size)
    return Integer.of(q, z, scales, g, 8)
