"""What the arithmetic of Gemma's integers is enumerated on: every code with scales of every exponent."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.rounding import nearest
from ..domain import corners, label
from .packing import WIDTHS, config, pack


class Codes:
    """One output a scale, with every code. Scales have 32 bits, too many to be asked one by one: of each of the 255
    exponents there are mantissas at the ends, about the middle between two bfloat16 and two float16, and at random, 20
    of both signs."""

    exhausted: tuple[str, ...] = ("float32",)
    sampled: tuple[str, ...] = ("float32",)

    def __init__(self, slug: str, bits: int) -> None:
        self.label, self.bits = label(slug, bits, WIDTHS), bits
        self._codes = np.resize(np.arange(1 << bits), max(8, 1 << bits))

    @property
    def columns(self) -> int:
        return int(self._codes.size)

    def patterns(self, dtype: str) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(self.bits)
        top = (1 << 23) - 1
        halves = [half + step for half in (1 << 15, 3 << 15, 1 << 12, 3 << 12) for step in (-1, 0, 1)]
        ends = np.array([0, 1, top // 2, top - 1, top, *halves])
        mantissas = np.concatenate(
            [np.broadcast_to(ends, (255, len(ends))), rng.integers(0, 1 << 23, (255, 20 - len(ends)))], axis=1
        )
        found = ((np.arange(255)[:, None] << 23) | mantissas).ravel().astype(np.uint32)
        special = np.array([0x7F800000, 0x7F800001, 0x7FBFFFFF, 0x7FC00000, 0x7FFFFFFF], np.uint32)
        sign = np.uint32(1 << 31)
        return np.concatenate([found, found | sign]), np.concatenate([special, special | sign])

    def corners(self, dtype: str) -> np.ndarray:
        return corners(dtype)

    def config(self) -> dict[str, Any]:
        return config(self.bits)

    def pack(self, dtype: str, scales: np.ndarray) -> dict[str, Array]:
        codes = np.broadcast_to(self._codes, (len(scales), self.columns))
        return pack(codes, codes, Array(dtype, scales), bits=self.bits)

    def expected(self, dtype: str, scales: np.ndarray, output: str | None) -> Array:
        """The scale is rounded, then the product; 0 is 0 of the sign of its scale, whatever that is rounded to."""
        exact, wanted = Array(dtype, scales).float64()[:, None], output or dtype
        values = (self._codes - (1 << (self.bits - 1))).astype(np.float64)
        with np.errstate(invalid="ignore"):
            products = nearest(exact, wanted).float64() * values
        return nearest(np.where(values == 0, exact * values, products), wanted)

    def spoilt(self, dtype: str, number: int, pattern: int) -> dict[str, Array]:
        scales = np.full(32, 0x3F800000, np.uint32)
        scales[number % 32] = pattern
        return self.pack(dtype, scales)

    def flags(self, dtype: str, output: str | None) -> frozenset[str]:
        return frozenset()
