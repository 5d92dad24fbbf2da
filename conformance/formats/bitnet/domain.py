"""What the arithmetic of BitNet is asked on: the four codes, with scales from end to end of their dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.rounding import nearest
from .packing import DIVIDED, METHOD, ZERO, described, pack

# Bits, mantissa bits, and every which exponent.
_LAYOUT = {"float16": (16, 10, 3), "bfloat16": (16, 7, 23), "float32": (32, 23, 23)}
# One over these is so near to the middle of two bfloat16, or float16, that float32 holds the middle itself.
_MIDDLES = (1 + 2.0**-8, 1.5 + 2.0**-8, 1 + 2.0**-11, 1.25 + 2.0**-11)


class Codes:
    """A module of four outputs, one of each code. A matrix has one scale, so modules are asked one by one: too many to
    have every pattern of 16 bits, so mantissas are at their ends and in between, and exponents some apart."""

    exhausted: tuple[str, ...] = ()
    sampled: tuple[str, ...] = ("float16", "bfloat16", "float32")
    scales_at_once = 1

    def __init__(self, form: str) -> None:
        self.label, self._form = f"{METHOD}-{form}", form
        self._codes = np.arange(4)[:, None]

    @property
    def columns(self) -> int:
        return 1

    def patterns(self, dtype: str) -> tuple[np.ndarray, np.ndarray]:
        raise ValueError("no dtype of scales is exhausted")

    def corners(self, dtype: str) -> np.ndarray:
        width, mantissa_bits, apart = _LAYOUT[dtype]
        top, last = (1 << mantissa_bits) - 1, (1 << (width - 1 - mantissa_bits)) - 2
        mantissas = np.array([0, 1, top // 3, top])
        exponents = np.unique([*range(0, last, apart), 1, 2, last - 1, last])
        found = ((exponents[:, None] << mantissa_bits) | mantissas).ravel()
        found = found[found > 0] if self._form == DIVIDED else found
        if dtype == "float32":
            found = np.append(found, (1 / np.array(_MIDDLES)).astype(np.float32).view(np.uint32))
        both = np.concatenate([found, found | (1 << (width - 1))])
        return both.astype(np.uint16 if width == 16 else np.uint32)

    def config(self) -> dict[str, Any]:
        return described(self._form)

    def pack(self, dtype: str, scales: np.ndarray) -> dict[str, Array]:
        """All ``scales`` are one."""
        return pack(self._codes, self._codes, Array(dtype, scales[:1]))

    def expected(self, dtype: str, scales: np.ndarray, output: str | None) -> Array:
        """A quotient of a code and a scale, or a product, rounded once."""
        scale, values = Array(dtype, scales[:1]).float64(), (self._codes - ZERO).astype(np.float64)
        with np.errstate(over="ignore"):
            return nearest(values / scale if self._form == DIVIDED else values * scale, output or dtype)

    def spoilt(self, dtype: str, number: int, pattern: int) -> dict[str, Array]:
        return self.pack(dtype, np.array([pattern], np.uint32 if dtype == "float32" else np.uint16))

    def flags(self, dtype: str, output: str | None) -> frozenset[str]:
        return frozenset()
