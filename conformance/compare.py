"""Equality of bits, and a report that points at the first wrong weight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .arrays import FLOATS, Array


@dataclass(frozen=True)
class Difference:
    """How two arrays differ; ``wrong`` is 0 when they are the same bits."""

    wrong: int
    total: int
    text: str

    def __bool__(self) -> bool:
        return bool(self.text)


def difference(got: Array, expected: Array) -> Difference:
    """Compare shape, dtype, then bits. No tolerance, and -0.0 is not +0.0."""
    if got.shape != expected.shape:
        return Difference(expected.bits.size, expected.bits.size, f"shape {got.shape}, expected {expected.shape}")
    if got.dtype != expected.dtype:
        return Difference(expected.bits.size, expected.bits.size, f"dtype {got.dtype}, expected {expected.dtype}")
    unequal = got.bits != expected.bits
    wrong = int(unequal.sum())
    if not wrong:
        return Difference(0, expected.bits.size, "")
    first = tuple(int(i) for i in np.argwhere(unequal)[0])
    width = expected.bits.itemsize * 2
    text = (
        f"{wrong} of {expected.bits.size} differ; first at {first}: "
        f"{got.float64()[first]!r} (0x{int(got.bits[first]):0{width}x}), "
        f"expected {expected.float64()[first]!r} (0x{int(expected.bits[first]):0{width}x})"
    )
    if expected.dtype in FLOATS:
        text += f"; largest distance {int(ulps(got, expected).max())} ulp"
    return Difference(wrong, expected.bits.size, text)


def ulps(got: Array, expected: Array) -> np.ndarray:
    """Distance in units in the last place: how many representable values lie between, signed zeros being one apart."""

    def rank(array: Array) -> np.ndarray:
        width = array.bits.itemsize * 8
        bits = array.bits.astype(np.int64)
        sign = bits >> (width - 1)
        return np.where(sign == 1, -(bits & ((1 << (width - 1)) - 1)) - 1, bits)

    return np.abs(rank(got) - rank(expected))
