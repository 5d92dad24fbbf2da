"""AWQ gemm."""

from __future__ import annotations

import numpy as np

from ..bits.array import Array
from ..bits.fields import words

# Natural column j of each eight is nibble NIBBLE_OF_COLUMN[j] of an AWQ gemm word (autoawq 0.2.9, AWQ_REVERSE_ORDER).
NIBBLE_OF_COLUMN = (0, 4, 1, 5, 2, 6, 3, 7)


def natural(values: np.ndarray) -> np.ndarray:
    """Fields [rows, columns] in the order of AWQ's nibbles, put into the order of its columns."""
    eights = values.reshape(len(values), -1, 8)
    return eights[:, :, list(NIBBLE_OF_COLUMN)].reshape(values.shape)


def interleaved(values: np.ndarray) -> np.ndarray:
    """Inverse of :func:`natural`."""
    eights = values.reshape(len(values), -1, 8)
    return eights[:, :, [NIBBLE_OF_COLUMN.index(nibble) for nibble in range(8)]].reshape(values.shape)


def awq_tensors(codes: np.ndarray, zeros: np.ndarray, scales: Array) -> dict[str, Array]:
    """An AWQ gemm module: codes [out, in] and zero points [groups, out], both interleaved along ``out``."""
    return {
        "qweight": Array.of(words(interleaved(np.ascontiguousarray(codes.T)))),
        "qzeros": Array.of(words(interleaved(zeros))),
        "scales": scales,
    }
