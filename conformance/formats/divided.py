"""A matrix of integer codes whose inputs are divided before they meet it, each by a number of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..bits.array import Array
from ..bits.rounding import nearest
from .parts import Integer


@dataclass(frozen=True)
class Divided:
    """``W = RN(RN32(RN32(s * (q - z)) / c))``: a matrix of codes, and the divisor ``c`` [in] of each input."""

    matrix: Integer
    c: np.ndarray

    def with_(self, **changes: Any) -> Divided:
        return replace(self, **changes)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.matrix.shape

    @property
    def dtype(self) -> str:
        return self.matrix.dtype

    def dense(self, dtype: str | None) -> Array:
        # A quotient of two float32 that is rounded to 53 bits and then to 24 is rounded as it would be at once.
        with np.errstate(over="ignore", invalid="ignore"):
            quotients = nearest(self.matrix.dense("float32").float64() / self.c, "float32")
            return nearest(quotients.float64(), dtype or self.dtype)

    def step(self) -> np.ndarray:
        return self.matrix.step() / np.abs(self.c)

    def triple(self) -> None:
        """Inputs of a group have divisors of their own, and an affine form has one scale for all."""
        return None

    def formula(self, output: int, channel: int) -> str:
        return f"({self.matrix.formula(output, channel)}) / {float(self.c[channel])!r}"
