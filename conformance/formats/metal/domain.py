"""What metal's arithmetic is enumerated on: every scale of 16 bits with every code and some biases."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.rounding import nearest, odd_sum
from .. import domain as shared
from ..offset import scaled_zeros
from .packing import config, pack_offsets

# Groups: zero points as producers make biases of them, and parts of a step that no zero point makes.
_ZEROS, _PART = (0, 3), -1.4619140625
_GROUP = 32


class Steps:
    """One output a scale; its groups have biases of their own, and hold each code."""

    sampled: tuple[str, ...] = ("float16", "bfloat16", "float32")

    def __init__(self, label: str, bits: int) -> None:
        self.label, self._bits = label, bits
        # The other widths have no product that these have not.
        self.exhausted: tuple[str, ...] = ("float16", "bfloat16") if bits == 4 else ()
        up = np.arange(1 << bits)
        self._codes = np.tile(np.resize(np.concatenate([up, up[::-1]]), _GROUP), len(_ZEROS) + 2)

    @property
    def columns(self) -> int:
        return int(self._codes.size)

    def patterns(self, dtype: str) -> tuple[np.ndarray, np.ndarray]:
        return shared.patterns(dtype)

    def corners(self, dtype: str) -> np.ndarray:
        return shared.corners(dtype)

    def config(self) -> dict[str, Any]:
        return config(self._bits, _GROUP)

    def _offsets(self, scales: Array) -> Array:
        """[groups, out]: two zero points, a part of a step, and a number that no scale is near to."""
        whole = scaled_zeros(np.array(_ZEROS)[:, None], Array(scales.dtype, scales.bits[None]))
        part = nearest(scales.float64()[None] * _PART, scales.dtype)
        # A part of the greatest scales is beyond the range.
        part = Array(scales.dtype, np.where(np.isfinite(part.float64()), part.bits, 0).astype(part.bits.dtype))
        far = nearest(np.full((1, scales.bits.size), 0.0471801757812), scales.dtype)
        return Array(scales.dtype, np.concatenate([whole.bits, part.bits, far.bits]))

    def pack(self, dtype: str, scales: np.ndarray) -> dict[str, Array]:
        offsets = self._offsets(Array(dtype, scales))
        rows = Array(dtype, np.ascontiguousarray(np.broadcast_to(scales, offsets.shape)))
        codes = np.broadcast_to(self._codes, (len(scales), self.columns))
        return pack_offsets(codes, rows, offsets, bits=self._bits)

    def expected(self, dtype: str, scales: np.ndarray, output: str | None) -> Array:
        """Each combination once, by its three roundings, then laid out."""
        count = 1 << self._bits
        offsets = self._offsets(Array(dtype, scales)).float64().T[:, :, None]
        products = nearest(Array(dtype, scales).float64()[:, None] * np.arange(count, dtype=np.float64), "float32")
        wide = np.broadcast_to(products.float64()[:, None, :], (len(scales), offsets.shape[1], count))
        with np.errstate(invalid="ignore"):  # products beyond float32
            sums = nearest(odd_sum(wide, offsets), "float32").float64()
        table = nearest(sums.reshape(len(scales), -1), output or dtype)
        groups = np.arange(self.columns) // _GROUP
        return Array(table.dtype, table.bits[:, count * groups + self._codes])

    def spoilt(self, dtype: str, number: int, pattern: int) -> dict[str, Array]:
        small = self.pack(dtype, np.full(32, 0x3C00 if dtype == "float16" else 0x3F80, np.uint16))
        scales = small["scales"].bits.copy()
        scales[number % 32, number // 32 % scales.shape[1]] = pattern
        return small | {"scales": Array(dtype, scales)}

    def flags(self, dtype: str, output: str | None) -> frozenset[str]:
        return frozenset()
