"""What the arithmetic of QQQ is enumerated on: every code with every scale of a group, and scales of outputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.rounding import nearest
from .. import domain as shared
from .packing import config, integers, pack

_SIZE, _ROWS = 128, 64
# Of the two groups where scales of outputs are asked: one that fills 8 bits, and one that is cut off.
_FILLING = (16.0, 18.375)


class TwoSteps:
    """One output a scale. float16 scales are those of groups, both of them; float32 ones are those of outputs."""

    exhausted: tuple[str, ...] = ("float16",)
    sampled: tuple[str, ...] = ("float16", "float32")

    def __init__(self, label: str) -> None:
        self.label = label
        up = np.arange(16)
        self._codes = np.resize(np.concatenate([up, up[::-1]]), 2 * _SIZE)

    @property
    def columns(self) -> int:
        return int(self._codes.size)

    def patterns(self, dtype: str) -> tuple[np.ndarray, np.ndarray]:
        return shared.patterns(dtype)

    def corners(self, dtype: str) -> np.ndarray:
        return shared.corners(dtype)

    def config(self) -> dict[str, Any]:
        return config(4, _SIZE)

    def _scales(self, dtype: str, scales: np.ndarray) -> tuple[Array, Array]:
        """Of groups [2, out] and of outputs [1, out]."""
        row = np.resize(scales, -(-len(scales) // _ROWS) * _ROWS)[None]
        if dtype == "float16":
            return Array(dtype, np.repeat(row, 2, axis=0)), Array.of(np.ones(row.shape, np.float32))
        return Array.of(np.repeat(np.array(_FILLING, np.float16)[:, None], row.size, axis=1)), Array(dtype, row)

    def pack(self, dtype: str, scales: np.ndarray) -> dict[str, Array]:
        grown, own = self._scales(dtype, scales)
        codes = np.broadcast_to(self._codes, (own.bits.size, self.columns))
        return pack(codes, codes, own, grown)

    def expected(self, dtype: str, scales: np.ndarray, output: str | None) -> Array:
        grown, own = self._scales(dtype, scales)
        whole = integers(self._codes[None], np.repeat(grown.float64(), _SIZE, axis=0).T)
        # Integers have no sign of zero.
        products = nearest(whole * own.float64().T, "float32")
        return products if output in (None, "float32") else nearest(products.float64(), output)

    def spoilt(self, dtype: str, number: int, pattern: int) -> dict[str, Array]:
        small = self.pack(dtype, np.full(_ROWS, 0x3C00, np.uint16))
        scales = small["s_group"].bits.copy()
        scales.flat[number % scales.size] = pattern
        return small | {"s_group": Array(dtype, scales)}

    def flags(self, dtype: str, output: str | None) -> frozenset[str]:
        return frozenset()
