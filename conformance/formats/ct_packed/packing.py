"""compressed-tensors' ``pack-quantized``, packed and taken apart in NumPy.

Codes and zero points are signed in the definition and stored with ``2**(bits - 1)`` added; here they are as stored.
Codes lie along the inputs, zero points along the outputs: little-endian streams of fields in 32-bit words, or before
release 0.18 as many whole fields a word as fit. Sources: compressed-tensors 0.19.0 and 0.17.1,
``compressors/pack_quantized``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.fields import fields, words
from ..dialects import compressed_tensors as dialect
from ..parts import Config, Integer, Tensors

WIDTHS = (4, 2, 3, 5, 6, 7, 8)
FORMAT = "pack-quantized"


def config(bits: int, group_size: int) -> dict[str, Any]:
    return dialect.config(FORMAT, bits, group_size)


def config_of(config: Config, module: str) -> dict[str, Any]:
    return dialect.config_of(config, module)


def group_size(config: Config, in_features: int) -> int:
    size = dialect.arguments(config).size
    return in_features if size == -1 else size


def packed(values: np.ndarray, bits: int, padded: bool = False) -> np.ndarray:
    """int32 words of fields [rows, columns]."""
    each = 32 // bits
    if not padded or 32 % bits == 0:
        return words(values, bits)
    rows, columns = values.shape
    filled = np.zeros((rows, -(-columns // each) * each), np.int64)
    filled[:, :columns] = values
    found = (filled.reshape(rows, -1, each) << (bits * np.arange(each))).sum(axis=2)
    return found.astype(np.uint32).view(np.int32)


def unpacked(stored: np.ndarray, bits: int, count: int, padded: bool = False) -> np.ndarray:
    """Inverse: fields [rows, count] of int32 words; ``padded`` decides where the number of words does not."""
    each = 32 // bits
    stream, apart = -(-count * bits // 32), -(-count // each)
    if stored.shape[1] != stream or (padded and stored.shape[1] == apart):
        spread = np.ascontiguousarray(stored).view(np.uint32)[..., None] >> (bits * np.arange(each, dtype=np.uint32))
        return (spread & np.uint32((1 << bits) - 1)).reshape(len(stored), -1)[:, :count].astype(np.int64)
    return fields(stored, 1, bits)[:, :count].astype(np.int64)


def pack(
    codes: np.ndarray,
    zeros: np.ndarray,
    scales: Array,
    g_idx: np.ndarray | None = None,
    *,
    bits: int = 4,
    padded: bool = False,
    symmetric: bool = False,
) -> dict[str, Array]:
    """The tensors of codes [out, in], zero points and scales [groups, out]."""
    tensors = {
        "weight_packed": Array.of(packed(codes, bits, padded)),
        "weight_scale": Array(scales.dtype, np.ascontiguousarray(scales.bits.T)),
        "weight_shape": Array.of(np.array(codes.shape, np.int64)),
    }
    if not symmetric:
        tensors["weight_zero_point"] = Array.of(np.ascontiguousarray(packed(zeros, bits, padded).T))
    return tensors if g_idx is None else tensors | {"weight_g_idx": Array.of(g_idx.astype(np.int32))}


def parts(config: Config, tensors: Tensors) -> Integer:
    """A sound module taken apart."""
    given, stored = dialect.arguments(config), tensors["weight_scale"]
    bits, out = given.bits, tensors["weight_packed"].shape[0]
    grid = stored.bits.reshape(1, 1) if given.strategy == "tensor" else stored.bits
    scales = Array(stored.dtype, np.ascontiguousarray(np.broadcast_to(grid, (out, grid.shape[1])).T))
    groups = scales.shape[0]
    in_features = int(tensors["weight_shape"].bits[1]) if "weight_shape" in tensors else groups * given.size
    q = unpacked(tensors["weight_packed"].bits, bits, in_features, given.padded)
    z = np.full((groups, out), 1 << (bits - 1), np.int64)
    if not given.symmetric and given.strategy == "tensor":
        z += int(tensors["weight_zero_point"].bits.reshape(()))
    elif not given.symmetric:
        z = unpacked(tensors["weight_zero_point"].bits.T, bits, out, given.padded)
    g = np.arange(in_features) // (in_features if given.size == -1 else given.size)
    g_idx = tensors.get("weight_g_idx")
    if g_idx is not None and (g_idx.bits != -1).all():
        g = g_idx.bits.astype(np.int64)
    return Integer.of(q, z, scales, g, bits)
