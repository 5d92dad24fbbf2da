"""What arithmetic is enumerated on where the zero point of every module is the same, and is not stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..bits.array import Array
from ..bits.rounding import nearest
from . import domain as shared
from .parts import Config, Tensors


class SymmetricDomain:
    """Every code with every scale, one scale an output, one group a matrix."""

    sampled: tuple[str, ...] = ("float16", "bfloat16", "float32")

    def __init__(
        self,
        label: str,
        bits: int,
        zero: int,
        config: Callable[[int, int], Config],
        pack: Callable[..., Tensors],
        scales: str,
        rows: int,
        exhausted: tuple[str, ...] = ("float16", "bfloat16"),
    ) -> None:
        """``scales`` is the name of their tensor; outputs are a multiple of ``rows``, and some scales come twice."""
        self.label, self.exhausted = label, exhausted
        self._bits, self._zero, self._config, self._pack = bits, zero, config, pack
        self._scales, self._rows = scales, rows
        up = np.arange(1 << bits)
        self._codes = np.resize(np.concatenate([up, up[::-1]]), max(shared.GROUP_SIZE, 2 << bits))

    @property
    def columns(self) -> int:
        return int(self._codes.size)

    def patterns(self, dtype: str) -> tuple[np.ndarray, np.ndarray]:
        return shared.patterns(dtype)

    def corners(self, dtype: str) -> np.ndarray:
        return shared.corners(dtype)

    def config(self) -> dict[str, Any]:
        return dict(self._config(self._bits, -1))

    def _aligned(self, scales: np.ndarray) -> np.ndarray:
        return np.resize(scales, -(-len(scales) // self._rows) * self._rows)

    def pack(self, dtype: str, scales: np.ndarray) -> dict[str, Array]:
        row = self._aligned(scales)[None]
        codes = np.broadcast_to(self._codes, (row.size, self.columns))
        return dict(self._pack(codes, np.full(row.shape, self._zero), Array(dtype, row), bits=self._bits))

    def expected(self, dtype: str, scales: np.ndarray, output: str | None) -> Array:
        """A product a scale and code, rounded once, then laid out."""
        values = Array(dtype, self._aligned(scales)).float64()[:, None] * (np.arange(1 << self._bits) - self._zero)
        table = nearest(values, output or dtype)
        return Array(table.dtype, np.take(table.bits, self._codes, axis=1))

    def spoilt(self, dtype: str, number: int, pattern: int) -> dict[str, Array]:
        small = self.pack(dtype, np.full(self._rows, 0x3C00 if dtype == "float16" else 0x3F80, np.uint16))
        scales = small[self._scales].bits.copy()
        scales.flat[number % scales.size] = pattern
        return small | {self._scales: Array(dtype, scales)}

    def flags(self, dtype: str, output: str | None) -> frozenset[str]:
        return frozenset()
