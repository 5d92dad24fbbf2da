"""Bit fields of packed words: a little-endian stream of fields in 32-bit words, lowest bit first."""

from __future__ import annotations

import numpy as np


def fields(words: np.ndarray, axis: int, bits: int = 4) -> np.ndarray:
    """Fields of int32 words as uint32, laid out along ``axis``; bits beyond the last whole field are left out."""
    along = np.ascontiguousarray(np.moveaxis(words, axis, -1)).view(np.uint32)
    if 32 % bits == 0:
        spread = (along[..., None] >> np.arange(0, 32, bits, dtype=np.uint32)) & np.uint32((1 << bits) - 1)
        found = spread.reshape(*along.shape[:-1], -1)
    else:
        # A field may lie in two words, so the words are one row of bits.
        stream = np.unpackbits(along.astype("<u4").view(np.uint8), axis=-1, bitorder="little")
        count = stream.shape[-1] // bits
        places = stream[..., : count * bits].reshape(*along.shape[:-1], count, bits).astype(np.uint32)
        found = (places << np.arange(bits, dtype=np.uint32)).sum(axis=-1, dtype=np.uint32)
    return np.ascontiguousarray(np.moveaxis(found, -1, axis))


def words(values: np.ndarray, bits: int = 4) -> np.ndarray:
    """int32 [rows, ceil(columns * bits / 32)] of fields [rows, columns]; the last word is filled up with zeros."""
    rows, columns = values.shape
    stream = np.zeros((rows, -(-columns * bits // 32) * 32), np.uint8)
    places = (values.astype(np.uint32)[..., None] >> np.arange(bits, dtype=np.uint32)) & 1
    stream[:, : columns * bits] = places.reshape(rows, -1)
    packed = np.packbits(stream, axis=1, bitorder="little")
    return np.ascontiguousarray(packed).view("<u4").astype(np.uint32).view(np.int32)


def repeated(value: int, bits: int) -> int:
    """A word of 32 bits whose fields are all ``value``; ``bits`` divides 32."""
    return sum(value << place for place in range(0, 32, bits))
