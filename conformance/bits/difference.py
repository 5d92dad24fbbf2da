"""Equality of bits, and a report that points at the first wrong weight."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from .array import FLOATS, Array

# Class of distance to how many weights are that far off.
Histogram = dict[str, int]
CLASSES = (("1", 1), ("2", 2), ("3-4", 4), ("5-16", 16), ("17-256", 256), ("257-65536", 65536), ("more", None))


@dataclass(frozen=True)
class Difference:
    """How two arrays differ; ``wrong`` is 0 when they are the same bits. ``ulps`` says by how much floats do.

    ``first`` is the place of the first wrong element, and ``got`` the bits that were found there.
    """

    wrong: int
    total: int
    text: str
    ulps: Histogram = field(default_factory=dict)
    first: tuple[int, ...] | None = None
    got: int | None = None

    def __bool__(self) -> bool:
        return bool(self.text)


def difference(got: Array, expected: Array) -> Difference:
    """Compare shape, dtype, then bits. No tolerance, and -0.0 is not +0.0."""
    if got.shape != expected.shape:
        return Difference(expected.bits.size, expected.bits.size, f"shape {got.shape}, expected {expected.shape}")
    if got.dtype != expected.dtype:
        return Difference(expected.bits.size, expected.bits.size, f"dtype {got.dtype}, expected {expected.dtype}")
    unequal = got.bits != expected.bits
    wrong = int(np.count_nonzero(unequal))
    if not wrong:
        return Difference(0, expected.bits.size, "")
    first = tuple(int(i) for i in np.argwhere(unequal)[0])
    width = expected.bits.itemsize * 2
    text = (
        f"{wrong} of {expected.bits.size} differ; first at {first}: "
        f"{float(got.float64()[first])!r} (0x{int(got.bits[first]):0{width}x}), "
        f"expected {float(expected.float64()[first])!r} (0x{int(expected.bits[first]):0{width}x})"
    )
    if expected.dtype not in FLOATS:
        return Difference(wrong, expected.bits.size, text, {}, first, int(got.bits[first]))
    distances = ulps(got, expected)
    text += f"; largest distance {int(distances.max())} ulp"
    return Difference(wrong, expected.bits.size, text, histogram(distances), first, int(got.bits[first]))


def ulps(got: Array, expected: Array) -> np.ndarray:
    """Distance in units in the last place: how many representable values lie between, signed zeros being one apart."""

    def rank(array: Array) -> np.ndarray:
        width = array.bits.itemsize * 8
        bits = array.bits.astype(np.int64)
        sign = bits >> (width - 1)
        return np.where(sign == 1, -(bits & ((1 << (width - 1)) - 1)) - 1, bits)

    return np.abs(rank(got) - rank(expected))


def histogram(distances: np.ndarray) -> Histogram:
    """How many distances fall into each of ``CLASSES``; weights that are right are not counted."""
    found, below = {}, 0
    for name, limit in CLASSES:
        inside = (distances > below) & (distances <= limit) if limit else distances > below
        if count := int(inside.sum()):
            found[name] = count
        below = limit or below
    return found


def largest(histograms: Iterable[Histogram]) -> str:
    """The largest class of distance in some histograms; empty without any."""
    seen = {name for histogram in histograms for name in histogram}
    return next((name for name, _ in reversed(CLASSES) if name in seen), "")
