"""Small floats by their bits, written from their definitions: sign, exponent with a bias, fraction.

Sources: OCP Microscaling Formats (MX) v1.0, section 5.3; "FP8 Formats for Deep Learning", arXiv 2209.05433.
"""

from __future__ import annotations

import numpy as np


def table(exponent_bits: int, fraction_bits: int, bias: int) -> np.ndarray:
    """The value of every code as float64, subnormals included, as if no code were set aside for anything else."""
    codes = np.arange(1 << (1 + exponent_bits + fraction_bits))
    sign = np.where(codes >> (exponent_bits + fraction_bits), -1.0, 1.0)
    exponent = (codes >> fraction_bits) & ((1 << exponent_bits) - 1)
    fraction = (codes & ((1 << fraction_bits) - 1)) / (1 << fraction_bits)
    return sign * np.where(exponent == 0, np.ldexp(fraction, 1 - bias), np.ldexp(1 + fraction, exponent - bias))


def _e4m3() -> np.ndarray:
    found = table(4, 3, 7)
    found[[0x7F, 0xFF]] = np.nan, -np.nan
    return found


# The largest finite number of each.
LARGEST = {"float16": 65504.0, "bfloat16": float.fromhex("0x1.fep127"), "float32": float.fromhex("0x1.fffffep127")}
E2M1 = table(2, 1, 1)
# ModelOpt reads code 8 as 0, without the sign.
E2M1_UNSIGNED_ZERO = np.where(E2M1 == 0, 0.0, E2M1)
E4M3 = _e4m3()
# Byte 255 is NaN; the others are powers of two.
E8M0 = np.append(np.ldexp(1.0, np.arange(255) - 127), np.nan)
TABLES = {"float8_e4m3fn": E4M3, "float8_e8m0fnu": E8M0}
