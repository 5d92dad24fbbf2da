"""One rounding of exact values, written from the definition."""

from __future__ import annotations

import numpy as np

from .array import Array

# dtype: significant bits, exponent of the smallest normal number.
_PRECISION = {"float16": (11, -14), "bfloat16": (8, -126), "float32": (24, -126)}
_LARGEST_EXPONENT = {"float16": 15, "bfloat16": 127, "float32": 127}
# Of float64: the exponent field of 1, and one at which every dtype has gone to infinity.
_BIAS, _ENOUGH = 1023, 2000
# Values rounded at once: what is computed on the way then stays in a cache.
_BLOCK = 1 << 15


def nearest(exact: np.ndarray, dtype: str) -> Array:
    """float64 values rounded once to ``dtype``: to nearest, ties to even, beyond the range to infinity."""
    if exact.size <= _BLOCK:
        return _nearest(exact, dtype)
    flat = exact.reshape(-1)
    found = [_nearest(flat[start : start + _BLOCK], dtype).bits for start in range(0, flat.size, _BLOCK)]
    return Array(dtype, np.concatenate(found).reshape(exact.shape))


def _nearest(exact: np.ndarray, dtype: str) -> Array:
    precision, smallest = _PRECISION[dtype]
    exact = np.asarray(exact, np.float64)
    exponent = np.clip((exact.view(np.int64) >> 52) & 0x7FF, smallest + _BIAS, _ENOUGH)
    # A number whose last bit is worth one quantum of the result: float64 rounds the sum to it, ties to even, and the
    # difference is exact. The half keeps the sum of a negative value in the same binade.
    anchor = (((exponent + 53 - precision) << 52) | (1 << 51)).view(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = np.copysign((exact + anchor) - anchor, exact)
    largest = 2.0 ** (_LARGEST_EXPONENT[dtype] + 1)
    if (beyond := np.abs(rounded) >= largest).any():
        rounded = np.where(beyond, np.copysign(np.inf, exact), rounded)
    if dtype == "bfloat16":
        return Array("bfloat16", (rounded.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16))
    return Array.of(rounded.astype(dtype))


def odd_sum(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float64 ``a + b`` to be given to :func:`nearest`: what the sum loses is kept as an odd last bit."""
    sums = a + b
    larger, smaller = np.where(np.abs(a) >= np.abs(b), a, b), np.where(np.abs(a) >= np.abs(b), b, a)
    lost = smaller - (sums - larger)
    even = np.ascontiguousarray(sums).view(np.int64) % 2 == 0
    return np.where((lost != 0) & even, np.nextafter(sums, np.copysign(np.inf, lost)), sums)
