"""What HQQ's arithmetic is enumerated on: every scale with every code, and every zero point with many codes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.rounding import nearest, odd_sum
from .. import domain as shared
from .packing import config, pack_floats

_ONES = {"float16": 0x3C00, "bfloat16": 0x3F80, "float32": 0x3F800000}
# Zero points as hqq has them, whole ones among them, and out of any code's reach.
_POINTS = (7.4990234375, 8.0, -0.3125, 1000.25)
# Scales that neighbour no power of two, and their signs.
_STEPS = (0.0137939453125, -3.2890625)
_GROUP = 32


class _Numbers:
    """One output a number; its groups differ in the other one, and hold each code twice."""

    exhausted: tuple[str, ...] = ("float16", "bfloat16")
    sampled: tuple[str, ...] = ("float16", "bfloat16", "float32")
    bits: int
    codes: np.ndarray
    others: tuple[float, ...]
    spoils: str

    def __init__(self, label: str) -> None:
        self.label = label
        up = self.codes
        self._codes = np.tile(np.concatenate([up, up[::-1]])[:_GROUP], len(self.others))

    @property
    def columns(self) -> int:
        return int(self._codes.size)

    def patterns(self, dtype: str) -> tuple[np.ndarray, np.ndarray]:
        return shared.patterns(dtype)

    def corners(self, dtype: str) -> np.ndarray:
        return shared.corners(dtype)

    def config(self) -> dict[str, Any]:
        return config(self.bits, _GROUP)

    def _both(self, dtype: str, numbers: np.ndarray) -> tuple[Array, Array]:
        """Scales and zero points, [rows of groups]."""
        raise NotImplementedError

    def _table(self, dtype: str, numbers: np.ndarray) -> Array:
        """[numbers, others, codes] of weights in their dtype."""
        raise NotImplementedError

    def _repeated(self, dtype: str, numbers: np.ndarray) -> tuple[Array, Array]:
        """Each number once a group, and the others in turn."""
        others = nearest(np.array(self.others), dtype)
        return (
            Array(dtype, np.repeat(numbers, len(self.others))),
            Array(dtype, np.tile(others.bits, len(numbers))),
        )

    def pack(self, dtype: str, scales: np.ndarray) -> dict[str, Array]:
        own, points = self._both(dtype, scales)
        codes = np.broadcast_to(self._codes, (len(scales), self.columns))
        return pack_floats(codes, points, own, bits=self.bits, group=_GROUP)

    def expected(self, dtype: str, scales: np.ndarray, output: str | None) -> Array:
        """By the definition, each combination once, then laid out."""
        table = self._table(dtype, scales)
        if output not in (None, dtype):
            table = nearest(table.float64(), str(output))
        places = np.searchsorted(self.codes, self._codes)
        groups = np.arange(self.columns) // _GROUP
        return Array(table.dtype, table.bits[:, groups, places])

    def spoilt(self, dtype: str, number: int, pattern: int) -> dict[str, Array]:
        small = self.pack(dtype, np.full(32, _ONES[dtype], np.uint16))
        found = small[self.spoils].bits.copy()
        found[number % len(found)] = pattern
        return small | {self.spoils: Array(dtype, found)}

    def flags(self, dtype: str, output: str | None) -> frozenset[str]:
        return frozenset()


class Scales(_Numbers):
    """Every scale."""

    bits, codes, others, spoils = 4, np.arange(16), _POINTS, "scale"

    def _both(self, dtype: str, numbers: np.ndarray) -> tuple[Array, Array]:
        return self._repeated(dtype, numbers)

    def _table(self, dtype: str, numbers: np.ndarray) -> Array:
        points = nearest(np.array(self.others), dtype).float64()
        shifted = nearest(odd_sum(self.codes.astype(np.float64), -points[:, None]), dtype).float64()
        return nearest(Array(dtype, numbers).float64()[:, None, None] * shifted, dtype)


class Zeros(_Numbers):
    """Every zero point, with codes from end to end."""

    bits, others, spoils = 8, _STEPS, "zero"
    codes = np.unique(np.concatenate([np.arange(0, 256, 21), [1, 254, 255]]))

    def _both(self, dtype: str, numbers: np.ndarray) -> tuple[Array, Array]:
        points, own = self._repeated(dtype, numbers)
        return own, points

    def _table(self, dtype: str, numbers: np.ndarray) -> Array:
        points = Array(dtype, numbers).float64()[:, None]
        steps = nearest(np.array(self.others), dtype).float64()
        sums = odd_sum(np.broadcast_to(self.codes.astype(np.float64), (len(numbers), self.codes.size)), -points)
        shifted = nearest(sums, dtype).float64()[:, None, :]
        with np.errstate(over="ignore"):
            return nearest(shifted * steps[:, None], dtype)
