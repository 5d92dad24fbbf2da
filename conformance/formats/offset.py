"""Codes with a float offset in place of an integer zero point: ``W = RN(q * s + b)``, a fused multiply-add."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..bits.array import Array
from ..bits.floats import LARGEST
from ..bits.rounding import nearest, odd_sum
from . import domain as shared
from .parts import Config

_LEAST = {"float16": 2.0**-24, "bfloat16": 2.0**-133, "float32": 2.0**-149}
# Groups of the domain: six zero points as producers make offsets of them, and numbers that no zero point makes.
_ZEROS = (0, 1, 3, 7, 8, 15)


@dataclass(frozen=True)
class Offset:
    """Codes ``q`` [out, in] of ``bits`` bits, scales ``s`` and offsets ``b`` [groups, out], the group ``g`` of each
    channel."""

    q: np.ndarray
    s: np.ndarray
    b: np.ndarray
    g: np.ndarray
    dtype: str
    bits: int = 4

    @classmethod
    def of(cls, q: np.ndarray, scales: Array, offsets: Array, g: np.ndarray) -> Offset:
        return cls(q, scales.float64(), offsets.float64(), g, scales.dtype)

    def with_(self, **changes: Any) -> Offset:
        return replace(self, **changes)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.q.shape

    def dense(self, dtype: str | None) -> Array:
        return nearest(odd_sum(self.q * self.s[self.g].T, self.b[self.g].T), dtype or self.dtype)

    def step(self) -> np.ndarray:
        return np.abs(self.s)[self.g].T

    def offsets(self) -> np.ndarray:
        return self.b

    def triple(self) -> Offset:
        return self

    def formula(self, output: int, channel: int) -> str:
        g = self.g[channel]
        q, s, b = int(self.q[output, channel]), float(self.s[g, output]), float(self.b[g, output])
        return f"q * s + b = {q} * {s!r} + {b!r}"


def scaled_zeros(zeros: np.ndarray, scales: Array) -> Array:
    """``-(s * z)`` as producers round it; beyond the range the largest number, which no producer would write."""
    exact = -(scales.float64() * zeros)
    return nearest(np.clip(exact, -LARGEST[scales.dtype], LARGEST[scales.dtype]), scales.dtype)


class OffsetDomain:
    """Every scale of a dtype with every code and some offsets: one scale an output, one offset a group."""

    sampled: tuple[str, ...] = ("float16", "bfloat16", "float32")

    def __init__(
        self,
        label: str,
        config: Callable[[int, int], Config],
        pack: Callable[[np.ndarray, Array, Array], dict[str, Array]],
        scales: str,
        exhausted: tuple[str, ...],
    ) -> None:
        """``pack`` takes codes [out, in], scales and offsets [groups, out]; ``scales`` names their tensor."""
        self.label, self.exhausted = label, exhausted
        self._config, self._pack, self._scales = config, pack, scales
        up = np.arange(16)
        self._codes = np.tile(np.concatenate([up, up[::-1]]), len(_ZEROS) + 2)

    @property
    def columns(self) -> int:
        return int(self._codes.size)

    def patterns(self, dtype: str) -> tuple[np.ndarray, np.ndarray]:
        return shared.patterns(dtype)

    def corners(self, dtype: str) -> np.ndarray:
        return shared.corners(dtype)

    def config(self) -> dict[str, Any]:
        return dict(self._config(4, shared.GROUP_SIZE))

    def _offsets(self, scales: Array) -> Array:
        """[groups, out]. The last two groups cannot be zero points: almost nothing, and half a step."""
        producers = scaled_zeros(np.array(_ZEROS)[:, None], Array(scales.dtype, scales.bits[None]))
        least = nearest(np.full((1, scales.bits.size), _LEAST[scales.dtype]), scales.dtype)
        half = nearest(scales.float64()[None] * -7.5 * 2.0**-3, scales.dtype)
        return Array(scales.dtype, np.concatenate([producers.bits, least.bits, half.bits]))

    def pack(self, dtype: str, scales: np.ndarray) -> dict[str, Array]:
        offsets = self._offsets(Array(dtype, scales))
        rows = Array(dtype, np.ascontiguousarray(np.broadcast_to(scales, offsets.shape)))
        return self._pack(np.broadcast_to(self._codes, (len(scales), self.columns)), rows, offsets)

    def expected(self, dtype: str, scales: np.ndarray, output: str | None) -> Array:
        """A sum a scale, offset and code, rounded once, then laid out."""
        offsets = self._offsets(Array(dtype, scales)).float64().T[:, :, None]
        values = odd_sum(Array(dtype, scales).float64()[:, None, None] * np.arange(16.0), offsets)
        table = nearest(values.reshape(len(scales), -1), output or dtype)
        groups = np.arange(self.columns) // shared.GROUP_SIZE
        return Array(table.dtype, table.bits[:, 16 * groups + self._codes])

    def spoilt(self, dtype: str, number: int, pattern: int) -> dict[str, Array]:
        """One scale of a group; what pads them is read by nobody."""
        small = self.pack(dtype, np.full(32, 0x3C00 if dtype == "float16" else 0x3F80, np.uint16))
        name = self._scales
        scales = small[name].bits.copy()
        scales[number // 32 % (len(_ZEROS) + 2), number % 32] = pattern
        return small | {name: Array(dtype, scales)}

    def flags(self, dtype: str, output: str | None) -> frozenset[str]:
        return frozenset()
