"""What the arithmetic of VPTQ is enumerated on: every entry with many scales and biases, and with many residuals."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.rounding import nearest
from .. import domain as shared
from .packing import RES_TABLES, SCALES, TABLES, Kind, alone, laid, settings

COLUMNS = 32
_HALVES = ("float16", "bfloat16")
_ONES = {"float16": 0x3C00, "bfloat16": 0x3F80, "float32": 0x3F800000}
# Scales, residuals and biases: zeros, ones, thirds, and both ends of the range.
_FEW = np.array([0, -0.0, 1, -1, 1 / 3, -2 / 3, 1.5, -0.75, 3.1415, -2.7182, 0.1, -1e-3])


def few(dtype: str) -> Array:
    """32 numbers, the last ones corners of the dtype."""
    found = nearest(_FEW, dtype).bits
    corners = shared.corners(dtype)
    return Array(dtype, np.concatenate([found, corners[:: len(corners) // (COLUMNS - len(found))]])[:COLUMNS])


class Products:
    """One output an entry, which meets a scale and a bias in each input."""

    exhausted: tuple[str, ...] = _HALVES
    sampled: tuple[str, ...] = (*_HALVES, "float32")
    kind = Kind(16, 0, 1, perm=False)
    least = SCALES

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
        return alone(settings(self.kind, group_size=COLUMNS))

    def _rows(self, dtype: str, entries: np.ndarray) -> tuple[np.ndarray, Array]:
        """A code of its own for each output, and the codebook."""
        table = np.zeros((1, 1 << self.kind.bits, 1), entries.dtype)
        table[0, : len(entries), 0] = entries
        codes = np.broadcast_to(np.arange(len(entries))[:, None], (len(entries), COLUMNS))
        return codes[None], Array(dtype, table)

    def pack(self, dtype: str, scales: np.ndarray) -> dict[str, Array]:
        """``scales`` are the bits of entries."""
        codes, table = self._rows(dtype, scales)
        return laid(self.kind, codes, table, norm=self.normed(dtype))

    def normed(self, dtype: str) -> tuple[Array, Array]:
        return few(dtype), Array(dtype, np.roll(few(dtype).bits, 5))

    def expected(self, dtype: str, scales: np.ndarray, output: str | None) -> Array:
        """A product, and a sum of it, each rounded."""
        factors, biases = (own.float64() for own in self.normed(dtype))
        products = nearest(Array(dtype, scales).float64()[:, None] * factors, dtype).float64()
        return _cast(nearest(products + biases, dtype), output)

    def spoilt(self, dtype: str, number: int, pattern: int) -> dict[str, Array]:
        """Any of its floats, whether a code asks for it or not."""
        tensors = self.pack(dtype, np.full(32, _ONES[dtype], few(dtype).bits.dtype))
        name = (TABLES, self.least)[number % 2]
        bits = tensors[name].bits.copy()
        bits.reshape(-1)[number * 7919 % bits.size] = pattern
        return tensors | {name: Array(dtype, bits)}

    def flags(self, dtype: str, output: str | None) -> frozenset[str]:
        return frozenset()


class Sums(Products):
    """One output an entry, to which each of 32 residuals is added; nothing is scaled."""

    kind = Kind(16, 5, 1, perm=False, norm=False)
    least = RES_TABLES

    def pack(self, dtype: str, scales: np.ndarray) -> dict[str, Array]:
        codes, table = self._rows(dtype, scales)
        added = np.broadcast_to(np.arange(COLUMNS), codes.shape)
        return laid(self.kind, codes, table, residuals=(added, Array(dtype, few(dtype).bits.reshape(1, -1, 1))))

    def expected(self, dtype: str, scales: np.ndarray, output: str | None) -> Array:
        return _cast(nearest(Array(dtype, scales).float64()[:, None] + few(dtype).float64(), dtype), output)


def _cast(own: Array, output: str | None) -> Array:
    return own if output in (None, own.dtype) else nearest(own.float64(), output or own.dtype)
