"""What the arithmetic of scaled activations is enumerated on: every divisor that a float of 16 bits can be."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.rounding import nearest
from ..domain import corners, patterns
from .packing import config, pack

_ONE = {"float16": 0x3C00, "bfloat16": 0x3F80, "float32": 0x3F800000}


class Quotients:
    """One input a divisor, and each code in two outputs, which have a scale and a zero point of their own.

    Divisors stand where other domains have scales, so that they are enumerated. Zeros are not decoded.
    """

    exhausted: tuple[str, ...] = ("float16",)
    sampled: tuple[str, ...] = ("bfloat16", "float32")

    def __init__(self, label: str) -> None:
        self.label = label
        rng = np.random.default_rng(20261130)
        self._codes = np.resize(np.arange(16), self.columns)
        # Eight exponents of scales, and mantissas at random; every fourth has a sign.
        exponents = np.resize(np.arange(4, 12), self.columns) << 10
        signs = (np.arange(self.columns) % 4 == 3).astype(np.int64) << 15
        bits = (exponents | signs | rng.integers(0, 1 << 10, self.columns)).astype(np.uint16)
        self._scales, self._zeros = Array("float16", bits[None]), rng.integers(0, 16, self.columns)

    @property
    def columns(self) -> int:
        """Products that a divisor meets: outputs, here."""
        return 32

    def patterns(self, dtype: str) -> tuple[np.ndarray, np.ndarray]:
        finite, special = patterns(dtype)
        zero = Array(dtype, finite).float64() == 0
        return finite[~zero], np.concatenate([special, finite[zero]])

    def corners(self, dtype: str) -> np.ndarray:
        found = corners(dtype)
        return found[Array(dtype, found).float64() != 0]

    def config(self) -> dict[str, Any]:
        return config(4, -1)

    def pack(self, dtype: str, scales: np.ndarray) -> dict[str, Array]:
        codes = np.broadcast_to(self._codes[:, None], (self.columns, len(scales)))
        return pack(codes, self._zeros[None], self._scales, divisors=Array(dtype, scales))

    def expected(self, dtype: str, scales: np.ndarray, output: str | None) -> Array:
        products = nearest(self._scales.float64()[0] * (self._codes - self._zeros), "float32").float64()
        with np.errstate(over="ignore"):
            quotients = nearest(products[:, None] / Array(dtype, scales).float64(), "float32")
            return nearest(quotients.float64(), output or self._scales.dtype)

    def spoilt(self, dtype: str, number: int, pattern: int) -> dict[str, Array]:
        bits = np.full(self.columns, _ONE[dtype], np.uint32 if dtype == "float32" else np.uint16)
        bits[number % self.columns] = pattern
        return self.pack(dtype, bits)

    def flags(self, dtype: str, output: str | None) -> frozenset[str]:
        return frozenset()
