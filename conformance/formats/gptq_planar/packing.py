"""GPTQ in planes, packed and taken apart in NumPy.

The tensors are GPTQ's of version 2, of the same shapes; but of each 32 fields the low bits come first, as words of
their own, then higher ones. Source: GPTQModel 7.7.0, ``utils/planar_packing.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from .. import flags as shared
from ..gptq.packing import config_of as dynamic
from ..parts import Config, Integer, Tensors
from ..spelt import written

LABEL = "gptq_p"
WIDTHS = (5, 3, 6, 7, 2, 4, 8)
# The width of each plane, the lowest first.
PLANES = {2: (2,), 3: (2, 1), 4: (4,), 5: (4, 1), 6: (4, 2), 7: (4, 2, 1), 8: (8,)}
# Widths that only come in whole blocks of 32.
BLOCKS = (3, 5, 6, 7)
_BLOCK = 32


def config(bits: int, group_size: int) -> dict[str, Any]:
    """The plainest ``quantization_config`` of an asymmetric module."""
    own = {"bits": bits, "group_size": group_size, "desc_act": False, "sym": False}
    return {"quant_method": "gptq", "checkpoint_format": LABEL} | own


def config_of(config: Config, module: str) -> dict[str, Any]:
    """By GPTQModel's rules, like all of its configs."""
    return dynamic(config, module)


def width(config: Config) -> int:
    return int(shared.width(config))


def group_size(config: Config, in_features: int) -> int:
    found = written(config)
    size: Any = found.get("group_size", found.get("q_group_size", -1))
    return in_features if size == -1 else int(size)


def words(fields: np.ndarray, bits: int) -> np.ndarray:
    """int32 [rows, ceil(columns * bits / 32)] of fields [rows, columns]; the last word is filled up with zeros."""
    rows, columns = fields.shape
    blocks = -(-columns // _BLOCK)
    padded = np.zeros((rows, blocks * _BLOCK), np.uint32)
    padded[:, :columns] = fields
    rest, planes = padded.reshape(rows, blocks, _BLOCK), []
    for plane in PLANES[bits]:
        low = (rest & np.uint32((1 << plane) - 1)).reshape(rows, blocks, plane, -1)
        planes.append((low << np.arange(0, 32, plane, dtype=np.uint32)).sum(axis=-1, dtype=np.uint32))
        rest = rest >> np.uint32(plane)
    found = np.concatenate(planes, axis=-1).reshape(rows, -1)[:, : -(-columns * bits // 32)]
    return np.ascontiguousarray(found).view(np.int32)


def fields(packed: np.ndarray, bits: int) -> np.ndarray:
    """Inverse of :func:`words`, int64, with what fills up the last word."""
    rows, count = packed.shape
    padded = np.zeros((rows, -(-count // bits) * bits), np.uint32)
    padded[:, :count] = packed.view(np.uint32)
    blocks = padded.reshape(rows, -1, bits)
    found, offset, first = np.zeros((rows, blocks.shape[1], _BLOCK), np.int64), 0, 0
    for plane in PLANES[bits]:
        own = blocks[:, :, first : first + plane, None] >> np.arange(0, 32, plane, dtype=np.uint32)
        low = (own & np.uint32((1 << plane) - 1)).reshape(found.shape)
        found |= low.astype(np.int64) << offset
        offset, first = offset + plane, first + plane
    return found.reshape(rows, -1)[:, : count * 32 // bits]


def pack(
    codes: np.ndarray, zeros: np.ndarray, scales: Array, g_idx: np.ndarray | None = None, *, bits: int = WIDTHS[0]
) -> dict[str, Array]:
    """The tensors of codes [out, in] and zero points [groups, out]."""
    tensors = {
        "qweight": Array.of(np.ascontiguousarray(words(codes, bits).T)),
        "qzeros": Array.of(words(zeros, bits)),
        "scales": scales,
    }
    return tensors if g_idx is None else tensors | {"g_idx": Array.of(g_idx.astype(np.int32))}


def parts(config: Config, tensors: Tensors) -> Integer:
    """A sound module taken apart."""
    bits = width(config)
    groups, out = tensors["scales"].shape
    q = fields(np.ascontiguousarray(tensors["qweight"].bits.T), bits)
    if "g_idx" in tensors:
        q, g = q[:, : tensors["g_idx"].shape[0]], tensors["g_idx"].bits.astype(np.int64)
    else:
        size = group_size(config, q.shape[1])
        q = q[:, : groups * size]
        g = np.arange(q.shape[1]) // size
    zeros = fields(np.ascontiguousarray(tensors["qzeros"].bits), bits)[:, :out]
    return Integer.of(q, zeros, tensors["scales"], g, bits)
