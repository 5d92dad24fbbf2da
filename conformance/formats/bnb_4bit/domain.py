"""What packed scales are enumerated on: each byte, under several scales of its own, with every code."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ..dialects import bitsandbytes as dialect
from .packing import STEPS, VALUES, Flat, pack, unpacked

COLUMNS, BYTES, SIZE = 32, 256, 256
# A mean of scales, and one that no producer has.
OFFSETS = {"mean": float(np.float32(0.0371234)), "negative": -1.5}
# Scales of scales: ordinary ones of every kind of mantissa, and both ends of what stays finite.
OWN = np.concatenate(
    [
        np.ldexp(1 + np.arange(56) / 57, np.arange(56) % 12 - 8),
        np.ldexp(1.0, [-149, -126, -100, 60, 100, 120, 126]),
        [0],
    ]
).astype(np.float32)


class Packed:
    """One output a byte: 256 of them share a scale of their own, and each has every code twice."""

    exhausted: tuple[str, ...] = ("uint8",)
    sampled: tuple[str, ...] = ("uint8",)

    def __init__(self, label: str, kind: str, offset: float) -> None:
        self.label, self._kind, self._offset = label, kind, offset
        self._codes = np.tile(np.arange(16), 2)

    @property
    def columns(self) -> int:
        return COLUMNS

    def patterns(self, dtype: str) -> tuple[np.ndarray, np.ndarray]:
        """No byte is refused."""
        return np.tile(np.arange(BYTES, dtype=np.uint8), len(OWN)), np.zeros(0, np.uint8)

    def corners(self, dtype: str) -> np.ndarray:
        """Both ends and the middle, first under one scale of their own and then under others."""
        few = np.array([0, 1, 126, 127, 128, 129, 254, 255], np.uint8)
        return np.tile(np.resize(few, 32), 3 * SIZE // 32)

    def config(self) -> dict[str, Any]:
        return dialect.config(self._kind)

    def pack(self, dtype: str, scales: np.ndarray) -> dict[str, Array]:
        codes = np.broadcast_to(self._codes, (len(scales), COLUMNS))
        return pack(codes, codes, Array(dtype, scales), kind=self._kind, block=COLUMNS, nested=self._nested(scales))

    def expected(self, dtype: str, scales: np.ndarray, output: str | None) -> Array:
        codes = np.broadcast_to(self._codes, (len(scales), COLUMNS))
        own = unpacked(scales, self._nested(scales), SIZE)
        return Flat(codes, VALUES[self._kind], own, (1, COLUMNS), "float32").dense(output)

    def spoilt(self, dtype: str, number: int, pattern: int) -> dict[str, Array]:
        raise ValueError("no byte is refused")

    def flags(self, dtype: str, output: str | None) -> frozenset[str]:
        return frozenset()

    def _nested(self, scales: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        return STEPS, np.resize(OWN, -(-len(scales) // SIZE)), self._offset
