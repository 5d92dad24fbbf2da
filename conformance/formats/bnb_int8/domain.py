"""What the arithmetic of LLM.int8 is enumerated on: every code with scales of every exponent."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ..dialects import bitsandbytes as dialect
from ..domain import corners
from .packing import Rows, pack


class Codes:
    """One output a scale, with every code. Scales have 32 bits, too many to be asked one by one: of each of the 255
    exponents there are mantissas at the ends, in the middle and at random, 64 of both signs."""

    exhausted: tuple[str, ...] = ("float32",)
    sampled: tuple[str, ...] = ("float32",)

    def __init__(self, label: str) -> None:
        self.label = label
        self._codes = np.arange(256) - 128

    @property
    def columns(self) -> int:
        return int(self._codes.size)

    def patterns(self, dtype: str) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(127)
        top = (1 << 23) - 1
        ends = np.array([0, 1, 2, top // 3, top // 2, top // 2 + 1, top - 1, top])
        mantissas = np.concatenate([np.broadcast_to(ends, (255, 8)), rng.integers(0, 1 << 23, (255, 24))], axis=1)
        found = ((np.arange(255)[:, None] << 23) | mantissas).ravel().astype(np.uint32)
        special = np.array([0x7F800000, 0x7F800001, 0x7FBFFFFF, 0x7FC00000, 0x7FFFFFFF], np.uint32)
        sign = np.uint32(1 << 31)
        return np.concatenate([found, found | sign]), np.concatenate([special, special | sign])

    def corners(self, dtype: str) -> np.ndarray:
        return corners(dtype)

    def config(self) -> dict[str, Any]:
        return dialect.config("int8")

    def pack(self, dtype: str, scales: np.ndarray) -> dict[str, Array]:
        codes = np.broadcast_to(self._codes, (len(scales), self.columns))
        return pack(codes, codes, Array(dtype, scales))

    def expected(self, dtype: str, scales: np.ndarray, output: str | None) -> Array:
        codes = np.broadcast_to(self._codes, (len(scales), self.columns))
        return Rows(codes, Array(dtype, scales).float64()).dense(output)

    def spoilt(self, dtype: str, number: int, pattern: int) -> dict[str, Array]:
        scales = np.full(32, 0x3F800000, np.uint32)
        scales[number % 32] = pattern
        return self.pack(dtype, scales)

    def flags(self, dtype: str, output: str | None) -> frozenset[str]:
        return frozenset()
