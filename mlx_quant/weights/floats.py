"""Small floats by their bits: what each code of 4 or 8 bits is worth, as float32, where all of them are exact.

Sources: OCP Microscaling Formats (MX) v1.0, sections 5.3.1 to 5.4; "FP8 Formats for Deep Learning" (arXiv 2209.05433)
for E4M3, which has no infinities and NaN in 0x7F and 0xFF.
"""

from __future__ import annotations

import mlx.core as mx

# By code: a sign, two bits of exponent, one of mantissa. Code 8 is -0.
E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0)
# The same as ModelOpt reads it: code 8 is 0, without the sign.
E2M1_UNSIGNED_ZERO = (*E2M1[:8], 0.0, *E2M1[9:])
# The power of two that the byte 127 of E8M0 stands for is 0; byte 255 is NaN.
E8M0_BIAS, E8M0_NAN = 127, 255


def e4m3(codes: mx.array) -> mx.array:
    """uint8 to float32."""
    return mx.from_fp8(codes, mx.float32)


def e8m0(codes: mx.array) -> mx.array:
    """uint8 to float32: ``2 ** (code - 127)``, of which code 0 is a subnormal float32, and NaN for 255."""
    wide = codes.astype(mx.uint32)
    # The byte is the exponent of a float32 as it stands, but for the ends of the range.
    bits = mx.where(wide == 0, mx.array(1 << 22, dtype=mx.uint32), wide << 23)
    return mx.where(wide == E8M0_NAN, mx.array(0x7FC00000, dtype=mx.uint32), bits).view(mx.float32)


def looked_up(codes: mx.array, table: mx.array) -> mx.array:
    """Values of 4-bit codes, two a byte: uint8 [..., n] to ``table.dtype`` [..., 2 * n], the low nibble first.

    ``table`` holds 16 values. All 256 bytes are looked up at once: half the reads of a look-up by nibble.
    """
    pairs = mx.stack([mx.tile(table, 16), mx.repeat(table, 16)], axis=-1)
    return mx.take(pairs, codes.astype(mx.uint32), axis=0).reshape(*codes.shape[:-1], -1)
