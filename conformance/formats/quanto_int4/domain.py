"""What the arithmetic is enumerated on: every scale with every code and some shifts, and every shift likewise."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.rounding import nearest, odd_sum
from .. import domain as shared
from .packing import SCALES, SHIFTS, described, pack_floats

_ONES = {"float16": 0x3C00, "bfloat16": 0x3F80, "float32": 0x3F800000}
# Shifts as quanto has them, one that a product may equal, and one out of any product's reach.
_SHIFTS = (0.0625, 7.4990234375, -0.3125, 1000.25)
# Scales that neighbour no power of two, and their signs.
_STEPS = (0.0137939453125, -3.2890625)
_GROUP, _CODES = 32, np.arange(16)


class _Numbers:
    """One output a number; its groups differ in the other one, and hold each code twice."""

    exhausted: tuple[str, ...] = ("float16", "bfloat16")
    sampled: tuple[str, ...] = ("float16", "bfloat16", "float32")
    others: tuple[float, ...]
    spoils: str

    def __init__(self, label: str) -> None:
        self.label = label
        self._codes = np.tile(np.concatenate([_CODES, _CODES[::-1]]), len(self.others))

    @property
    def columns(self) -> int:
        return int(self._codes.size)

    def patterns(self, dtype: str) -> tuple[np.ndarray, np.ndarray]:
        return shared.patterns(dtype)

    def corners(self, dtype: str) -> np.ndarray:
        return shared.corners(dtype)

    def config(self) -> dict[str, Any]:
        return described("qint4", self.columns)

    def _table(self, dtype: str, numbers: np.ndarray, others: np.ndarray) -> Array:
        """[numbers, others, codes] of weights in their dtype."""
        raise NotImplementedError

    def _given(self, dtype: str, numbers: np.ndarray) -> tuple[Array, Array]:
        """Each number once a group, and the others in turn."""
        others = nearest(np.array(self.others), dtype)
        return Array(dtype, np.repeat(numbers, len(self.others))), Array(dtype, np.tile(others.bits, len(numbers)))

    def pack(self, dtype: str, scales: np.ndarray) -> dict[str, Array]:
        own, others = self._given(dtype, scales)
        both = (others, own) if self.spoils == SCALES else (own, others)
        return pack_floats(np.broadcast_to(self._codes, (len(scales), self.columns)), *both)

    def expected(self, dtype: str, scales: np.ndarray, output: str | None) -> Array:
        """By the definition, each combination once, then laid out."""
        others = nearest(np.array(self.others), dtype).float64()
        with np.errstate(over="ignore", invalid="ignore"):
            table = self._table(dtype, Array(dtype, scales).float64()[:, None, None], others[:, None])
        if output not in (None, dtype):
            table = nearest(table.float64(), str(output))
        return Array(table.dtype, table.bits[:, np.arange(self.columns) // _GROUP, self._codes])

    def spoilt(self, dtype: str, number: int, pattern: int) -> dict[str, Array]:
        small = self.pack(dtype, np.full(32, _ONES[dtype], np.uint16))
        found = small[self.spoils].bits.copy()
        found[number % len(found)] = pattern
        return small | {self.spoils: Array(dtype, found)}

    def flags(self, dtype: str, output: str | None) -> frozenset[str]:
        return frozenset()


def _less(products: Array, shifts: np.ndarray) -> Array:
    """Products less shifts; what was beyond the range stays there."""
    wide = products.float64()
    sums = odd_sum(wide, np.broadcast_to(-shifts, wide.shape))
    return nearest(np.where(np.isfinite(wide), sums, wide), products.dtype)


class Scales(_Numbers):
    """Every scale."""

    others, spoils = _SHIFTS, SCALES

    def _table(self, dtype: str, numbers: np.ndarray, others: np.ndarray) -> Array:
        products = nearest(np.broadcast_to(numbers * _CODES, (len(numbers), len(others), len(_CODES))), dtype)
        return _less(products, others)


class Shifts(_Numbers):
    """Every shift."""

    others, spoils = _STEPS, SHIFTS

    def _table(self, dtype: str, numbers: np.ndarray, others: np.ndarray) -> Array:
        products = nearest(others * _CODES, dtype)
        return _less(Array(dtype, np.broadcast_to(products.bits, (len(numbers), *products.shape))), numbers)
