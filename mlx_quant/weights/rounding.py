"""Numbers that are rounded once, whatever dtypes stand on either side."""

from __future__ import annotations

import mlx.core as mx
import numpy as np

# The exponent of float32 is larger than float16's by this: times two to minus this, a number has float16's bits at the
# top of its own, those of a subnormal number too.
_EXPONENTS = 112


def scaled(scales: mx.array, integers: mx.array, stored: mx.Dtype, dtype: mx.Dtype) -> mx.array:
    """``RN(scales * integers)`` as ``dtype``, one rounding to nearest, ties to even.

    Args:
        scales: float32 values of what was stored as ``stored``.
        integers: float32 [...], whole numbers of at most 9 bits.

    A float16 or bfloat16 scale has at most 11 bits, so the float32 product is exact and the cast the only rounding. A
    float32 scale can make the product inexact; then it is rounded to odd before it is cast to a narrower type.
    """
    inexact = stored == mx.float32 and dtype != mx.float32
    return (_round_to_odd(scales, integers) if inexact else scales * integers).astype(dtype)


def rounded(values: mx.array, dtype: mx.Dtype) -> mx.array:
    """float32 rounded to ``dtype``, in float32 again."""
    return values if dtype == mx.float32 else values.astype(dtype).astype(mx.float32)


def _round_to_odd(scales: mx.array, integers: mx.array) -> mx.array:
    """``scales * integers`` in float32, rounded to odd, so that one further rounding equals rounding once.

    ``scales`` is split into a part of at most 12 bits and the rest; times a 9-bit integer both are exact, and the
    rounding error of their sum is recovered exactly (Dekker's fast two-sum). Where it is not zero, the float32
    neighbour with an odd last bit is taken (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008).
    """
    high = (scales.view(mx.uint32) & mx.array(0xFFFFF000, dtype=mx.uint32)).view(mx.float32)
    big, small = high * integers, (scales - high) * integers
    product = scales * integers  # the same number as big + small, which would lose the sign of a zero
    error = small - (product - big)
    bits = product.view(mx.int32)
    # One step towards the exact value changes the magnitude up when the error has the sign of the product.
    step = mx.where((error > 0) == (product > 0), 1, -1)
    inexact = (error != 0) & ((bits & 1) == 0) & mx.isfinite(product)
    return mx.where(inexact, bits + step, bits).view(mx.float32)


def narrowed(values: np.ndarray, dtype: mx.Dtype) -> mx.array:
    """float32 or float64 rounded once to a float, to nearest even."""
    return mx.array(bits_of(values, dtype)).view(dtype)


def bits_of(values: np.ndarray, dtype: mx.Dtype) -> np.ndarray:
    """uint16 or uint32, the bits of float32 or float64 that are rounded once to ``dtype``, to nearest even."""
    with np.errstate(over="ignore"):
        if dtype == mx.float16:
            return values.astype(np.float16).view(np.uint16)
        single = values.astype(np.float32, copy=False)
    if dtype == mx.float32:
        return single.view(np.uint32)
    if values.dtype == np.float64:
        bits = single.view(np.uint32)
        # Rounded to odd on the way, so that the next rounding is the only one; what lies beyond float32 is beyond
        # bfloat16 too.
        inexact = (single != values) & (bits % 2 == 0) & np.isfinite(single)
        outwards = np.abs(values) > np.abs(single)
        single = np.where(inexact, np.where(outwards, bits + 1, bits - 1), bits).view(np.float32)
    return bfloat(single)


def half(values: np.ndarray) -> np.ndarray:
    """uint16, the bits of float16: of float32 that are whole multiples of 2^-37, rounded to nearest even."""
    # What is beyond float16 would carry into the sign.
    bits = (np.clip(values, -65536, 65536) * np.float32(2.0**-_EXPONENTS)).view(np.uint32)
    sign = (bits >> np.uint32(16)).astype(np.uint16)
    sign &= np.uint16(0x8000)
    bits &= np.uint32(0x7FFFFFFF)
    found = _rounded(bits, 13).astype(np.uint16)
    found |= sign
    return found


def bfloat(values: np.ndarray) -> np.ndarray:
    """uint16, the bits of bfloat16: of float32, rounded to nearest even."""
    return _rounded(values.view(np.uint32), 16).astype(np.uint16)


def _rounded(bits: np.ndarray, dropped: int) -> np.ndarray:
    even = bits >> np.uint32(dropped)
    even &= np.uint32(1)
    even += bits
    even += np.uint32((1 << dropped - 1) - 1)
    even >>= np.uint32(dropped)
    return even
