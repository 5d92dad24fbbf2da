"""What SINQ's arithmetic is enumerated on: every scale, zero point and scale of inputs of 16 bits with many codes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.rounding import nearest, odd_sum
from .. import domain as shared
from .packing import described, laid, meta

_ONES = {"float16": 0x3C00, "bfloat16": 0x3F80, "float32": 0x3F800000}
# Zero points as sinq has them, whole ones among them, and out of any code's reach.
_POINTS = (7.4990234375, 8.0, -0.3125, 1000.25)
# Scales that neighbour no power of two, and their signs.
_STEPS = (0.0137939453125, -3.2890625)
_GROUP, _ROWS = 32, 512


class _Numbers:
    """One output a number; its groups differ in the other one, and every input has a scale of its own.

    A config says how many outputs there are: always as many, of which the last ones are the first ones again.
    """

    scales_at_once = _ROWS
    exhausted: tuple[str, ...] = ("float16", "bfloat16")
    sampled: tuple[str, ...] = ("float16", "bfloat16", "float32")
    bits: int
    codes: np.ndarray
    others: tuple[float, ...]
    compute: str
    spoils: str

    def __init__(self, label: str) -> None:
        self.label = label
        up = self.codes
        self._codes = np.tile(np.concatenate([up, up[::-1]])[:_GROUP], len(self.others))
        rng = np.random.default_rng(20261130)
        signs = np.where(rng.random(self.columns) < 0.2, -0.5, 1)
        self._columns = rng.integers(1 << 10, 1 << 11, self.columns) / 1024 * signs
        self._sound: dict[str, dict[str, Array]] = {}

    @property
    def columns(self) -> int:
        return int(self._codes.size)

    def patterns(self, dtype: str) -> tuple[np.ndarray, np.ndarray]:
        return shared.patterns(dtype)

    def corners(self, dtype: str) -> np.ndarray:
        return shared.corners(dtype)

    def config(self) -> dict[str, Any]:
        return described(meta(self.bits, _GROUP, (_ROWS, self.columns), compute=self.compute))

    def _both(self, dtype: str, numbers: np.ndarray) -> tuple[Array, Array]:
        """Zero points and scales, by rows of groups."""
        others = nearest(np.array(self.others), dtype)
        own = Array(dtype, np.repeat(np.resize(numbers, _ROWS), len(self.others)))
        rest = Array(dtype, np.tile(others.bits, _ROWS))
        return (rest, own) if self.spoils == "meta.scale" else (own, rest)

    def pack(self, dtype: str, scales: np.ndarray) -> dict[str, Array]:
        codes = np.broadcast_to(self._codes, (_ROWS, self.columns))
        columns = nearest(self._columns[None], dtype)
        return laid(codes, *self._both(dtype, scales), columns, bits=self.bits, group=_GROUP)

    def expected(self, dtype: str, scales: np.ndarray, output: str | None) -> Array:
        """By the definition, number by number."""
        wide = dtype if dtype == self.compute else "float32"
        zeros, steps = (a.float64().reshape(_ROWS, -1, 1) for a in self._both(dtype, scales))
        codes = np.broadcast_to(self._codes.astype(np.float64), (_ROWS, self.columns))
        cut = codes.reshape(_ROWS, len(self.others), _GROUP)
        with np.errstate(over="ignore", invalid="ignore"):
            shifted = nearest(odd_sum(cut, np.broadcast_to(-zeros, cut.shape)), wide).float64()
            product = nearest(shifted * steps, wide).float64().reshape(codes.shape)
            columns = nearest(self._columns[None], dtype).float64()
            found = nearest(nearest(product * columns, wide).float64(), self.compute)
        return found if output in (None, self.compute) else nearest(found.float64(), str(output))

    def spoilt(self, dtype: str, number: int, pattern: int) -> dict[str, Array]:
        sound = self._sound.get(dtype)
        if sound is None:
            sound = self._sound[dtype] = self.pack(dtype, np.full(_ROWS, _ONES[dtype], np.uint16))
        found = sound[self.spoils].bits.copy()
        found[number % len(found)] = pattern
        return sound | {self.spoils: Array(dtype, found)}

    def flags(self, dtype: str, output: str | None) -> frozenset[str]:
        return frozenset()


class Scales(_Numbers):
    """Every scale."""

    bits, codes, others, compute, spoils = 4, np.arange(16), _POINTS, "bfloat16", "meta.scale"


class Zeros(_Numbers):
    """Every zero point, with codes from end to end."""

    bits, others, compute, spoils = 8, _STEPS, "float16", "meta.zero"
    codes = np.unique(np.concatenate([np.arange(0, 256, 21), [1, 254, 255]]))
