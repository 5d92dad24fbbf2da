"""What ParoQuant's arithmetic is enumerated on: every scale in pairs that are turned, and every angle."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.rounding import nearest
from .. import domain as shared
from .packing import config, laid

_IN, _HALF = 32, 16
_ONES = {"float16": 0x3C00, "bfloat16": 0x3F80}
_TURNS = nearest(
    np.array([0, -0.0, 1e-4, -0.01, 0.1, -0.5, 0.78515625, 1, -1.5703125, 2, 3.140625, -4, 7, -31, 500, 0.3]), "float16"
)
_COLUMNS = nearest(np.tile([1, 0.5, -1.375, 0.0078, 3.1406, 100, -0.01, 1.0009765625], 4), "float16")
# Beyond these powers of two products leave float32, of which turned pairs make no number.
_WIDEST = 100


class Scales:
    """One output a scale; inputs ``p`` and ``31 - p`` are a pair, with codes of their own, a turn and scales."""

    exhausted: tuple[str, ...] = ("float16",)
    sampled: tuple[str, ...] = ("float16", "bfloat16")

    def __init__(self, label: str) -> None:
        self.label = label
        first = np.arange(_HALF)
        self._codes = np.concatenate([first, ((first * 7 + 3) % 16)[::-1]])

    @property
    def columns(self) -> int:
        return _IN

    def patterns(self, dtype: str) -> tuple[np.ndarray, np.ndarray]:
        return shared.patterns(dtype)

    def corners(self, dtype: str) -> np.ndarray:
        found = shared.corners(dtype)
        return found[np.abs(Array(dtype, found).float64()) < 2.0**_WIDEST]

    def config(self) -> dict[str, Any]:
        return config(4, _IN)

    def pack(self, dtype: str, scales: np.ndarray) -> dict[str, Array]:
        codes = np.broadcast_to(self._codes, (len(scales), _IN))
        pairs = np.stack([np.arange(_HALF), _IN - 1 - np.arange(_HALF)], axis=-1)[None]
        turns = Array(_TURNS.dtype, _TURNS.bits[None])
        return laid(codes, np.full((1, len(scales)), 8), Array(dtype, scales[None]), pairs, turns, _COLUMNS)

    def expected(self, dtype: str, scales: np.ndarray, output: str | None) -> Array:
        # A product of 16 bits and 5 is exact in float32.
        met = (Array(dtype, scales).float64()[:, None] * (self._codes - 8)).astype(np.float32)
        first, second = met[:, :_HALF], met[:, : _HALF - 1 : -1]
        cos, sin = (wave(_TURNS.float64()).astype(np.float32) for wave in (np.cos, np.sin))
        turned = np.concatenate([first * cos - second * sin, (second * cos + first * sin)[:, ::-1]], axis=1)
        return nearest((turned * _COLUMNS.float64().astype(np.float32)).astype(np.float64), output or dtype)

    def spoilt(self, dtype: str, number: int, pattern: int) -> dict[str, Array]:
        scales = np.full(32, _ONES[dtype], np.uint16)
        scales[number % 32] = pattern
        return self.pack(dtype, scales)

    def flags(self, dtype: str, output: str | None) -> frozenset[str]:
        return frozenset()


class Angles(Scales):
    """Two inputs an angle, in groups of 32 pairs; ``scales`` are the bits of angles, which turn eight outputs."""

    @property
    def columns(self) -> int:
        return 512

    def config(self) -> dict[str, Any]:
        return config(4, 64)

    def _met(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Codes [8, inputs] and scales of outputs [8]."""
        codes = (np.arange(8)[:, None] * 5 + np.arange(2 * count) % 2 * 9 + 1) % 16
        return codes, np.array([1, 0.1, -3, 0.01, 7, 1 / 3, 2.0**-20, 60000])

    def pack(self, dtype: str, scales: np.ndarray) -> dict[str, Array]:
        inputs = 2 * len(scales)
        codes, outputs = self._met(len(scales))
        groups = inputs // 64
        own = nearest(np.broadcast_to(outputs, (groups, 8)).copy(), "float16")
        pairs = np.arange(inputs).reshape(1, -1, 2) % 64
        ones = Array.of(np.ones(inputs, np.float16))
        return laid(codes, np.full((groups, 8), 8), own, pairs, Array(dtype, scales[None]), ones)

    def expected(self, dtype: str, scales: np.ndarray, output: str | None) -> Array:
        codes, outputs = self._met(len(scales))
        met = (nearest(outputs, "float16").float64()[:, None] * (codes - 8)).astype(np.float32)
        first, second = met[:, ::2], met[:, 1::2]
        cos, sin = (wave(Array(dtype, scales).float64()).astype(np.float32) for wave in (np.cos, np.sin))
        turned = np.stack([first * cos - second * sin, second * cos + first * sin], axis=-1)
        return nearest(turned.reshape(8, -1).astype(np.float64), output or "float16")
