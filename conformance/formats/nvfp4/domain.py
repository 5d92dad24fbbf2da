"""What the arithmetic of NVFP4 is enumerated on: every code with every scale of a group, under one of the matrix."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.floats import E4M3
from ..parts import Config
from .packing import GROUP, SMALL, named, parts

_FINITE = np.flatnonzero(np.isfinite(E4M3)).astype(np.uint8)
_NANS = np.flatnonzero(~np.isfinite(E4M3)).astype(np.uint8)
# Codes twice, the second time in the other half of each byte.
_CODES = np.concatenate([np.arange(16), np.roll(np.arange(16), 1)])


@dataclass(frozen=True)
class UnderOne:
    """One output a scale, under ``whole``, float32."""

    label: str
    settings: Config
    whole: float

    exhausted = sampled = (SMALL,)

    @property
    def columns(self) -> int:
        return len(_CODES)

    def patterns(self, dtype: str) -> tuple[np.ndarray, np.ndarray]:
        return _FINITE, _NANS

    def corners(self, dtype: str) -> np.ndarray:
        return np.array([0, 1, 2, 7, 8, 9, 0x37, 0x38, 0x39, 0x7D, 0x7E, 0x80, 0x81, 0xB8, 0xFE], np.uint8)

    def config(self) -> dict[str, Any]:
        return dict(self.settings)

    def pack(self, dtype: str, scales: np.ndarray) -> dict[str, Array]:
        codes = np.broadcast_to(_CODES, (len(scales), len(_CODES)))
        bytes_ = np.broadcast_to(scales[:, None], (len(scales), len(_CODES) // GROUP))
        return named(self.settings, codes, bytes_, np.full(1, self.whole, np.float32))

    def expected(self, dtype: str, scales: np.ndarray, output: str | None) -> Array:
        """A product a scale and code, by the definition, then laid out."""
        one = parts(self.settings, self.pack(dtype, scales))
        codes = np.broadcast_to(np.arange(16), (len(scales), 16))
        table = replace(one, q=codes, s=one.s[:, :1], block=(1, 16)).dense(output)
        return Array(table.dtype, np.take(table.bits, _CODES, axis=1))

    def spoilt(self, dtype: str, number: int, pattern: int) -> dict[str, Array]:
        scales = np.full(32, 0x38, np.uint8)
        scales[number % 32] = pattern
        return self.pack(dtype, scales)

    def flags(self, dtype: str, output: str | None) -> frozenset[str]:
        return frozenset()
