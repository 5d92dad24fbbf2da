"""Bit fields of words in NumPy: :func:`unpack` and :func:`pack` of ``bits``, for blocks that the CPU decodes.

MLX's operations cost a call into another thread and a result each; these are passes over a block that is in cache.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .cpu import kernels

# A byte of 8 / n fields becomes n bytes, moved as one word of this type.
_LANES = {2: np.uint16, 4: np.uint32, 8: np.uint64}


def unpacked(words: np.ndarray, bits: int, count: int) -> np.ndarray:
    """uint8 [rows, count], the first fields of each row of uint32 words [rows, n], lowest first."""
    octets = np.ascontiguousarray(words).view(np.uint8)
    if bits == 8:
        return octets[:, :count]
    if (found := kernels()) is not None and count * bits <= octets.shape[1] * 8:
        codes = np.empty((len(octets), count), np.uint8)
        found.unpack(octets, bits, codes)
        return codes
    if 8 % bits:
        return _across(octets, bits, count)
    lanes = 8 // bits
    dtype = _LANES[lanes]
    wide = spread = octets.astype(dtype)
    for lane in range(1, lanes):
        spread = spread | (wide << dtype(lane * (8 - bits)))
    spread &= dtype(sum(((1 << bits) - 1) << 8 * lane for lane in range(lanes)))
    return spread.view(np.uint8)[:, :count]


def of_planes(words: np.ndarray, shifts: Sequence[int], bits: int, rows: slice) -> np.ndarray:
    """uint8 [n, columns], some rows of fields that words [height, columns] hold for rows ``height`` apart.

    ``shifts`` are those of fields of the first ``height`` rows, of the next, and so on.
    """
    height = len(words)
    found = np.empty((rows.stop - rows.start, words.shape[1]), np.uint8)
    for plane in range(rows.start // height, -(-rows.stop // height)):
        first, end = max(rows.start, plane * height), min(rows.stop, (plane + 1) * height)
        part = words[first - plane * height : end - plane * height] >> shifts[plane]
        found[first - rows.start : end - rows.start] = part & ((1 << bits) - 1)
    return found


def packed(codes: np.ndarray, bits: int) -> np.ndarray:
    """uint32 [rows, m * bits / 32] of uint8 codes [rows, m] that fill whole words."""
    rows = len(codes)
    if bits == 8:
        return np.ascontiguousarray(codes).view(np.uint32)
    if (found := kernels()) is not None:
        words = np.empty((rows, codes.shape[1] * bits // 32), np.uint32)
        found.pack(codes, bits, words)
        return words
    if 8 % bits:
        fields = codes.reshape(rows, -1, 8)
        octets = np.zeros((rows, fields.shape[1], bits), np.uint8)
        for field in range(8):
            octet, shift = divmod(field * bits, 8)
            octets[..., octet] |= fields[..., field] << np.uint8(shift)
            if shift + bits > 8:
                octets[..., octet + 1] |= fields[..., field] >> np.uint8(8 - shift)
        return octets.reshape(rows, -1).view(np.uint32)
    lanes = 8 // bits
    dtype = _LANES[lanes]
    wide = np.ascontiguousarray(codes).view(dtype)
    joined = wide.copy()
    for lane in range(1, lanes):
        joined |= wide >> dtype(lane * (8 - bits))
    return joined.astype(np.uint8).view(np.uint32)


def reordered(codes: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Columns ``order``, int32, of uint8 codes [rows, columns], as many."""
    if (found := kernels()) is None:
        return np.take(codes, order, axis=1)
    memory = np.empty(codes.shape, np.uint8)
    found.reorder(codes, order, memory)
    return memory


def _across(octets: np.ndarray, bits: int, count: int) -> np.ndarray:
    """Eight fields in each block of ``bits`` bytes; what the last block lacks is zero."""
    rows, blocks = len(octets), -(-count // 8)
    short = blocks * bits - octets.shape[1]
    octets = np.pad(octets, [(0, 0), (0, short)]) if short > 0 else octets[:, : blocks * bits]
    octets = octets.reshape(rows, blocks, bits)
    fields = np.empty((rows, blocks, 8), np.uint8)
    for field in range(8):
        octet, shift = divmod(field * bits, 8)
        value = octets[..., octet] >> np.uint8(shift)
        if shift + bits > 8:
            value |= octets[..., octet + 1] << np.uint8(8 - shift)
        np.bitwise_and(value, np.uint8((1 << bits) - 1), out=fields[..., field])
    return fields.reshape(rows, -1)[:, :count]
