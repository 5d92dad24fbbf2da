"""What the arithmetic of AQLM is enumerated on: every scale with many entries, and every entry added to many others."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.rounding import nearest, odd_sum
from .. import domain as shared
from .packing import BOOKS, config, laid

COLUMNS = 32
_ONES = {"float16": 0x3C00, "bfloat16": 0x3F80, "float32": 0x3F800000}
_HALVES = ("float16", "bfloat16")
# Entries that scales meet and numbers that entries are added to: zeros, ones, thirds, and both ends of the range.
_FEW = np.array([0, -0.0, 1, -1, 1 / 3, -2 / 3, 1.5, -0.75, 3.1415, -2.7182, 0.1, -1e-3])


def few(dtype: str) -> np.ndarray:
    """Bits of 32 numbers, the last ones corners of the dtype."""
    found = nearest(_FEW, dtype).bits
    corners = shared.corners(dtype)
    return np.concatenate([found, corners[:: len(corners) // (COLUMNS - len(found))]])[:COLUMNS]


class Scales:
    """One output a scale, in which each entry of a codebook of 32 stands once."""

    exhausted: tuple[str, ...] = _HALVES
    sampled: tuple[str, ...] = (*_HALVES, "float32")

    def __init__(self, label: str) -> None:
        self.label = label

    @property
    def columns(self) -> int:
        return COLUMNS

    def patterns(self, dtype: str) -> tuple[np.ndarray, np.ndarray]:
        return shared.patterns(dtype)

    def corners(self, dtype: str) -> np.ndarray:
        return shared.corners(dtype)

    def config(self) -> dict[str, Any]:
        return config(5, block=(1, 1))

    def pack(self, dtype: str, scales: np.ndarray) -> dict[str, Array]:
        codes = np.broadcast_to(np.arange(COLUMNS)[:, None], (len(scales), COLUMNS, 1))
        tables = Array(dtype, few(dtype).reshape(1, COLUMNS, 1, 1))
        return laid(codes, tables, Array(dtype, scales), 5)

    def expected(self, dtype: str, scales: np.ndarray, output: str | None) -> Array:
        """A product of an entry and a scale, which is rounded; an entry of -0 was added to 0."""
        entries = Array(dtype, few(dtype)).float64() + 0.0
        products = nearest(Array(dtype, scales).float64()[:, None] * entries, dtype)
        return products if output in (None, dtype) else nearest(products.float64(), output or dtype)

    def spoilt(self, dtype: str, number: int, pattern: int) -> dict[str, Array]:
        scales = np.full(32, _ONES[dtype], np.uint32 if dtype == "float32" else np.uint16)
        scales[number % 32] = pattern
        return self.pack(dtype, scales)

    def flags(self, dtype: str, output: str | None) -> frozenset[str]:
        return frozenset()


class Sums(Scales):
    """One output an entry of the first codebook, to which each entry of the second one is added; scales are 1."""

    def config(self) -> dict[str, Any]:
        return config(16, books=2, block=(1, 1))

    def pack(self, dtype: str, scales: np.ndarray) -> dict[str, Array]:
        """``scales`` are the bits of entries."""
        tables = np.zeros((2, 1 << 16), scales.dtype)
        tables[0, : len(scales)], tables[1, :COLUMNS] = scales, few(dtype)
        first, second = np.broadcast_arrays(np.arange(len(scales))[:, None], np.arange(COLUMNS))
        ones = Array(dtype, np.full(len(scales), _ONES[dtype], scales.dtype))
        return laid(np.stack([first, second], axis=-1), Array(dtype, tables[:, :, None, None]), ones, 16)

    def expected(self, dtype: str, scales: np.ndarray, output: str | None) -> Array:
        """A sum of two, rounded to float32 and then to the dtype."""
        first, second = (Array(dtype, bits).float64() + 0.0 for bits in (scales, few(dtype)))
        sums = nearest(nearest(_odd(first[:, None], second), "float32").float64(), dtype)
        return sums if output in (None, dtype) else nearest(sums.float64(), output or dtype)

    def spoilt(self, dtype: str, number: int, pattern: int) -> dict[str, Array]:
        """Whether a code asks for it or not."""
        tensors = self.pack(dtype, np.full(32, _ONES[dtype], np.uint16))
        tables = tensors[BOOKS].bits.copy()
        tables[number % 2, number * 7919 % (1 << 16)] = pattern
        return tensors | {BOOKS: Array(dtype, tables)}


def _odd(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sums of float64, which hold all of two half floats but the widest: what is lost is an odd last bit."""
    first, second = np.broadcast_arrays(a, b)
    return odd_sum(first, second)
