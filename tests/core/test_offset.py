"""Weights with a float offset: one rounding of the exact sum, told by fractions, and MLX's form of them."""

from __future__ import annotations

from fractions import Fraction

import mlx.core as mx
import numpy as np
import pytest

from mlx_quant.errors import UnsupportedFormat
from mlx_quant.weights.bits import pack
from mlx_quant.weights.offset import Offset

# Significant bits, least exponent, largest number.
FLOATS = {
    mx.float16: (11, -14, 65504),
    mx.bfloat16: (8, -126, float.fromhex("0x1.fep127")),
    mx.float32: (24, -126, float.fromhex("0x1.fffffep127")),
}
CODES = np.arange(16)


def rounded(value: Fraction, dtype: mx.Dtype) -> float:
    """To nearest, ties to even, by the definition; beyond the range infinity."""
    bits, least, largest = FLOATS[dtype]
    if value == 0:
        return 0.0
    exponent = max(value.numerator.bit_length() - value.denominator.bit_length() - 1, least)
    while abs(value) >= Fraction(2) ** (exponent + 1):
        exponent += 1
    quantum = Fraction(2) ** (exponent - bits + 1)
    found = round(value / quantum) * quantum  # a fraction rounds to an even number halfway
    beyond = abs(found) > Fraction(largest)
    return float("inf") * (1 if value > 0 else -1) if beyond else float(found)


def weight(scales: list[float], offsets: list[float], stored: mx.Dtype, group_size: int = 16) -> Offset:
    """An output a pair, with all codes in its only group."""
    words = pack(mx.array(np.tile(CODES, (len(scales), group_size // 16)).astype(np.uint8)), 4)
    given = (mx.array(np.array([values], np.float32)).astype(stored) for values in (scales, offsets))
    return Offset(words, *given, bits=4, in_features=group_size, group_size=group_size)


@pytest.mark.parametrize("output", list(FLOATS), ids=str)
@pytest.mark.parametrize(
    ("stored", "scales", "offsets"),
    [
        # Halfway between two numbers but for an offset that float32, or float64, cannot hold beside the product.
        (mx.float16, [1 + 2.0**-10, 1.0, 2.0**-11], [2.0**-24, -(2.0**-24), 1.0]),
        (mx.bfloat16, [1 + 2.0**-7, 1.0, 1 + 2.0**-7], [2.0**-130, -(2.0**-130), -(2.0**-133)]),
        (mx.float32, [1 + 2.0**-23, 3.0], [2.0**-140, -(2.0**-24)]),
        # A product beyond the range, and a sum that is not; everything beyond it.
        (mx.float16, [60000.0, 65504.0, 8188.0], [-65504.0, 65504.0, -65504.0]),
        (mx.bfloat16, [3.0e38, 3.0e38], [-3.0e38, 3.0e38]),
        # Subnormal numbers, and sums that vanish.
        (mx.float16, [2.0**-24, 3 * 2.0**-24], [-(2.0**-22), 2.0**-23]),
        (mx.bfloat16, [2.0**-133, 2.0**-130], [2.0**-133, -(2.0**-129)]),
    ],
)
def test_a_sum_is_rounded_once(stored: mx.Dtype, scales: list[float], offsets: list[float], output: mx.Dtype) -> None:
    made = weight(scales, offsets, stored)
    s, b = (np.array(array.astype(mx.float32))[0] for array in (made.scales, made.offsets))
    due = [
        [rounded(int(q) * Fraction(float(x)) + Fraction(float(y)), output) for q in CODES]
        for x, y in zip(s, b, strict=True)
    ]
    assert np.array(made.dense(output).astype(mx.float32)).tolist() == np.array(due, np.float32).tolist()


def test_a_zero_has_the_sign_of_a_fused_multiply_add() -> None:
    found = np.array(weight([-1.0, 1.0, -1.0], [-0.0, -0.0, 0.0], mx.float16).dense())[:, 0]
    assert np.signbit(found).tolist() == [True, False, False]


def test_mlxs_form_has_the_offsets_for_biases() -> None:
    made = weight([0.5, -2.0], [3.0, -0.25], mx.float16, group_size=256)
    found = made.native()
    assert (found.group_size, found.bits, found.scales.shape) == (128, 4, (2, 2))
    assert found.weight is made.words
    assert found.biases.tolist() == [[3.0, 3.0], [-0.25, -0.25]]
    assert made.native(mx.float32).biases.dtype == mx.float32
    exact = mx.dequantize(found.weight, found.scales, found.biases, 128, 4)
    assert mx.array_equal(exact, made.dense()).item()
    with pytest.raises(UnsupportedFormat, match="groups of 48"):
        weight([1.0], [0.0], mx.float16, group_size=48).native()
