"""What the arithmetic of ModelOpt's INT4 is enumerated on: every code with scales of every exponent."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.rounding import nearest
from ..domain import corners
from .packing import modelopt, pack

_ONE = 0x3F800000


class Codes:
    """One output a scale, with every code. Scales have 32 bits, too many to be asked one by one: of each of the 255
    exponents there are mantissas at the ends, in the middle and at random, 64 of both signs."""

    exhausted: tuple[str, ...] = ("float32",)
    sampled: tuple[str, ...] = ("float32",)

    def __init__(self, label: str) -> None:
        self.label = label
        self._codes = np.resize(np.arange(16), self.columns)

    @property
    def columns(self) -> int:
        return 16

    def patterns(self, dtype: str) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(4)
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
        return modelopt()

    def pack(self, dtype: str, scales: np.ndarray) -> dict[str, Array]:
        codes = np.broadcast_to(self._codes, (len(scales), self.columns))
        return pack(codes, codes, Array(dtype, scales[None, :]), inputs=self._inputs())

    def expected(self, dtype: str, scales: np.ndarray, output: str | None) -> Array:
        exact = Array(dtype, scales).float64()[:, None] * (self._codes - 8.0)
        return self._moved(exact, output or dtype)

    def spoilt(self, dtype: str, number: int, pattern: int) -> dict[str, Array]:
        scales = np.full(32, _ONE, np.uint32)
        scales[number % 32] = pattern
        return self.pack(dtype, scales)

    def flags(self, dtype: str, output: str | None) -> frozenset[str]:
        return frozenset()

    def _inputs(self) -> Array | None:
        return None

    def _moved(self, exact: np.ndarray, dtype: str) -> Array:
        return nearest(exact, dtype)


class Moved(Codes):
    """The same, with scales of inputs: every code meets sixteen of them."""

    exhausted = ()

    @property
    def columns(self) -> int:
        return 256

    def _inputs(self) -> Array:
        rng = np.random.default_rng(5)
        exponents = np.repeat(np.array([-3, -2, -1, -1, 0, 0, 1, 2]) + 127, 2)
        return Array("bfloat16", np.repeat(exponents << 7 | rng.integers(0, 1 << 7, 16), 16).astype(np.uint16))

    def _moved(self, exact: np.ndarray, dtype: str) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):
            products = nearest(exact, "float32").float64() * self._inputs().float64()
            return nearest(nearest(products, "float32").float64(), dtype)
