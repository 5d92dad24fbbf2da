"""Bit fields of packed words: a little-endian stream of fields in 32-bit words, lowest bit first."""

from __future__ import annotations

from math import gcd

import numpy as np


def fields(words: np.ndarray, axis: int, bits: int = 4) -> np.ndarray:
    """Fields of int32 words as uint32, laid out along ``axis``; bits beyond the last whole field are left out."""
    along = np.ascontiguousarray(np.moveaxis(words, axis, -1)).view(np.uint32)
    if 32 % bits == 0:
        spread = (along[..., None] >> np.arange(0, 32, bits, dtype=np.uint32)) & np.uint32((1 << bits) - 1)
        return np.ascontiguousarray(np.moveaxis(spread.reshape(*along.shape[:-1], -1), -1, axis))
    # A field may lie in two words.
    rows, places = along.reshape(-1, along.shape[-1]), _places(bits)
    periods = _periods(rows, len(places) * bits // 32)
    found = np.empty((*periods.shape[:2], len(places)), np.uint32)
    for place, word, shift in places:
        value = periods[..., word] >> np.uint32(shift)
        if shift + bits > 32:
            value |= periods[..., word + 1] << np.uint32(32 - shift)
        found[..., place] = value & np.uint32((1 << bits) - 1)
    count = 32 * rows.shape[1] // bits
    found = found.reshape(len(rows), -1)[:, :count].reshape(*along.shape[:-1], count)
    return np.ascontiguousarray(np.moveaxis(found, -1, axis))


def words(values: np.ndarray, bits: int = 4) -> np.ndarray:
    """int32 [rows, ceil(columns * bits / 32)] of fields [rows, columns]; the last word is filled up with zeros."""
    columns = values.shape[1]
    places = _places(bits)
    periods = _periods(values.astype(np.uint32) & np.uint32((1 << bits) - 1), len(places))
    packed = np.zeros((*periods.shape[:2], len(places) * bits // 32), np.uint32)
    for place, word, shift in places:
        packed[..., word] |= periods[..., place] << np.uint32(shift)
        if shift + bits > 32:
            packed[..., word + 1] |= periods[..., place] >> np.uint32(32 - shift)
    return packed.reshape(len(values), -1)[:, : -(-columns * bits // 32)].copy().view(np.int32)


def nibbles(codes: np.ndarray) -> np.ndarray:
    """uint8 [..., in / 2] of codes [..., in] of four bits, the first in the low half."""
    return (codes[..., 0::2] | codes[..., 1::2] << 4).astype(np.uint8)


def _periods(rows: np.ndarray, size: int) -> np.ndarray:
    """[rows, periods, size] of a matrix, its last period filled up with zeros."""
    count = -(-rows.shape[1] // size)
    padded = np.pad(rows, ((0, 0), (0, count * size - rows.shape[1]))) if rows.shape[1] % size else rows
    return padded.reshape(len(rows), count, size)


def _places(bits: int) -> list[tuple[int, int, int]]:
    """Of the fewest fields that fill whole words: (place, the word it begins in, the bit it begins at)."""
    return [(place, place * bits // 32, place * bits % 32) for place in range(32 // gcd(bits, 32))]


def repeated(value: int, bits: int) -> int:
    """A word of 32 bits whose fields are all ``value``; ``bits`` divides 32."""
    return sum(value << place for place in range(0, 32, bits))
