"""Weights that are a value by its code times a scale of a block: what FP8 and FP4 formats hand to the suite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..bits.array import Array
from ..bits.floats import E8M0
from ..bits.rounding import nearest
from . import domain as shared
from .parts import Config, Tensors

SMALL = "float8_e8m0fnu"


@dataclass(frozen=True)
class Scaled:
    """``W = RN(RN32(values[q] * s))``: codes ``q`` [out, in], ``s`` [rows, columns] of blocks; or both of a stack, the
    axis of experts first.

    ``rounds_scales`` says that a scale is rounded to the dtype of the result before the product.
    """

    q: np.ndarray
    values: np.ndarray
    s: np.ndarray
    block: tuple[int, int]
    dtype: str
    rounds_scales: bool = False

    def with_(self, **changes: Any) -> Scaled:
        return replace(self, **changes)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.q.shape

    def spread(self, scales: np.ndarray) -> np.ndarray:
        """A number a block as one a weight."""
        *_, out, inputs = self.q.shape
        rows = np.repeat(scales, self.block[0], axis=-2)[..., :out, :]
        return np.repeat(rows, self.block[1], axis=-1)[..., :inputs]

    def dense(self, dtype: str | None) -> Array:
        due = dtype or self.dtype
        scales = nearest(self.s, due).float64() if self.rounds_scales else self.s
        with np.errstate(invalid="ignore"):  # infinity times zero, where a rounded scale overflows
            return nearest(nearest(self.values[self.q] * self.spread(scales), "float32").float64(), due)

    def step(self) -> np.ndarray:
        """The distance of a value to the nearest other one."""
        finite = np.unique(self.values[np.isfinite(self.values)])
        near = np.minimum(np.diff(finite, prepend=-np.inf), np.diff(finite, append=np.inf))
        gaps = near[np.searchsorted(finite, np.nan_to_num(self.values))]
        return gaps[self.q] * np.abs(self.spread(self.s))

    def triple(self) -> None:
        """Codes that are no whole numbers have no affine form."""
        return None

    def formula(self, output: int, channel: int) -> str:
        # Outputs of all experts of a stack, one after the other.
        codes, scales = (array.reshape(-1, array.shape[-1]) for array in (self.q, self.s))
        q = int(codes[output, channel])
        s = float(scales[output // self.block[0], channel // self.block[1]])
        return f"value[q] * s = {float(self.values[q])!r} * {s!r}"


class ScaledDomain:
    """Every finite code with each of some scales, one scale an output."""

    def __init__(
        self,
        label: str,
        values: np.ndarray,
        exhausted: tuple[str, ...],
        sampled: tuple[str, ...],
        made: Callable[[np.ndarray, Array], tuple[dict[str, Any], dict[str, Array]]],
        taken: Callable[[Config, Tensors], Scaled],
        largest: float = np.inf,
    ) -> None:
        """``made`` packs codes [out, in] and scales [out] in a dtype, ``taken`` takes such a module apart. No corner is
        beyond ``largest``."""
        self.label, self.exhausted, self.sampled = label, exhausted, sampled
        self._made, self._taken, self._largest = made, taken, largest
        legal = np.flatnonzero(np.isfinite(values))
        self._values, self._codes = values, np.resize(legal, -(-len(legal) // 32) * 32)

    @property
    def columns(self) -> int:
        return int(self._codes.size)

    def patterns(self, dtype: str) -> tuple[np.ndarray, np.ndarray]:
        if dtype == SMALL:
            return np.arange(255, dtype=np.uint8), np.array([255], np.uint8)
        return shared.patterns(dtype)

    def corners(self, dtype: str) -> np.ndarray:
        if dtype == SMALL:
            return np.array([0, 1, 2, 7, 100, 119, 126, 127, 128, 135, 200, 252, 253, 254], np.uint8)
        found = shared.corners(dtype)
        return found[np.abs(Array(dtype, found).float64()) <= self._largest]

    def config(self) -> dict[str, Any]:
        one = np.array([127], np.uint8)
        return self._made(self._codes[None], Array(SMALL, one))[0]

    def pack(self, dtype: str, scales: np.ndarray) -> dict[str, Array]:
        codes = np.ascontiguousarray(np.broadcast_to(self._codes, (len(scales), self.columns)))
        return self._made(codes, Array(dtype, scales))[1]

    def expected(self, dtype: str, scales: np.ndarray, output: str | None) -> Array:
        """A product a scale and value, by the definition, then laid out."""
        own = np.arange(len(self._values))[np.isfinite(self._values)]
        one = self._taken(self.config(), self.pack(dtype, scales[:1]))
        numbers = E8M0[scales] if dtype == SMALL else Array(dtype, scales).float64()
        codes = np.broadcast_to(own, (len(scales), len(own)))
        table = replace(one, q=codes, s=numbers[:, None], block=(1, len(own))).dense(output)
        return Array(table.dtype, np.take(table.bits, np.searchsorted(own, self._codes), axis=1))

    def spoilt(self, dtype: str, number: int, pattern: int) -> dict[str, Array]:
        ones = {SMALL: 127, "float16": 0x3C00, "bfloat16": 0x3F80, "float32": 0x3F800000}
        bits = {SMALL: np.uint8, "float32": np.uint32}.get(dtype, np.uint16)
        scales = np.full(32, ones[dtype], bits)
        scales[number % 32] = pattern
        return self.pack(dtype, scales)

    def flags(self, dtype: str, output: str | None) -> frozenset[str]:
        return frozenset()
