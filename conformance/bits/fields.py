"""Bit fields of packed words."""

from __future__ import annotations

import numpy as np

SHIFTS = 4 * np.arange(8, dtype=np.uint32)


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
