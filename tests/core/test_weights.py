"""The core's own arithmetic, against enumeration and NumPy."""

from __future__ import annotations

from fractions import Fraction

import mlx.core as mx
import numpy as np
import pytest

import mlx_quant
from mlx_quant.weights.integer import Integer

RNG = np.random.default_rng(11)


def random_packed(groups: int = 4, out: int = 24, size: int = 32, index: np.ndarray | None = None) -> Integer:
    in_features = groups * size
    return Integer(
        words=mx.array(RNG.integers(0, 2**32, (out, in_features // 8), dtype=np.uint32)),
        zeros=mx.array(RNG.integers(0, 16, (groups, out), dtype=np.uint8)),
        scales=mx.array((RNG.random((groups, out)) - 0.5).astype(np.float16)),
        bits=4,
        in_features=in_features,
        group_size=size,
        group_index=None if index is None else mx.array(index.astype(np.int32)),
    )


def nearest(value: Fraction, dtype: type[np.floating]) -> np.floating:
    """The value of ``dtype`` nearest to an exact rational, ties to the even bit pattern."""
    guess = dtype(float(value))
    candidates = [guess, np.nextafter(guess, dtype(np.inf)), np.nextafter(guess, dtype(-np.inf))]
    finite = [c for c in candidates if np.isfinite(c)]
    return min(finite, key=lambda c: (abs(Fraction(float(c)) - value), int(c.view(np.uint16)) & 1))


def test_a_float32_scale_is_rounded_once_to_a_narrower_dtype() -> None:
    """Products within a few float32 steps of a float16 tie: rounding twice gives the wrong neighbour of some."""
    ties = (2 * RNG.integers(1024, 2048, 1000) + 1) * 2.0**-11
    scales = (ties / RNG.choice([-7, -6, -5, -3, 3, 5, 6, 7], ties.size)).astype(np.float32)
    scales = (scales.view(np.int32) + RNG.integers(-3, 4, ties.size, dtype=np.int32)).view(np.float32).reshape(1, -1)
    twice = 0
    out = scales.shape[1]
    packed = Integer(
        words=mx.array(np.tile(np.array([0x76543210, 0xFEDCBA98], np.uint32), (out, 1))),
        zeros=mx.full((1, out), 8, dtype=mx.uint8),
        scales=mx.array(scales),
        bits=4,
        in_features=16,
        group_size=16,
    )
    codes = np.array(packed.codes())
    got = np.array(packed.dense(mx.float16))
    for o, i in np.ndindex(out, 16):
        difference = int(codes[o, i]) - 8
        assert got[o, i] == nearest(Fraction(float(scales[0, o])) * difference, np.float16)
        twice += np.float16(scales[0, o] * np.float32(difference)) != got[o, i]
    assert twice > 0, "the draw never met a double rounding, so it proved nothing"


def test_a_negative_scale_times_zero_is_minus_zero_in_every_dtype() -> None:
    for source in (mx.float16, mx.bfloat16, mx.float32):
        packed = Integer(
            words=mx.array([[0x88888888] * 4], dtype=mx.uint32),
            zeros=mx.full((1, 1), 8, dtype=mx.uint8),
            scales=mx.array([[-0.3]]).astype(source),
            bits=4,
            in_features=32,
            group_size=32,
        )
        for wanted in (mx.float16, mx.bfloat16, mx.float32):
            weight = packed.dense(wanted).astype(mx.float32)
            assert mx.all(weight == 0).item()
            assert mx.all(weight.view(mx.uint32) == 0x80000000).item()


@pytest.mark.parametrize("size", [32, 64, 128])
def test_float32_affine_equals_dense(size: int) -> None:
    packed = random_packed(size=size)
    affine = packed.native(mx.float32)
    value = mx.dequantize(affine.weight, affine.scales, affine.biases, group_size=affine.group_size, bits=4)
    # Equal as numbers: s * q + b gives +0.0 where a negative scale times zero is -0.0.
    assert mx.array_equal(value.astype(mx.float16), packed.dense()).item()


def test_affine_keeps_codes_and_scales_and_rounds_biases_once() -> None:
    packed = random_packed()
    affine = packed.native()
    assert mx.array_equal(affine.weight, packed.words).item()
    assert mx.array_equal(affine.scales, packed.scales.T).item()
    z, s = np.array(packed.zeros.T).astype(np.float64), np.array(packed.scales.T).astype(np.float64)
    assert np.array_equal(np.array(affine.biases), (-(z * s)).astype(np.float16))


def test_affine_of_act_order_permutes_columns_into_groups() -> None:
    index = RNG.permutation(np.arange(128) // 32)
    packed = random_packed(index=index)
    affine = packed.native(mx.float32)
    assert affine.permutation is not None
    value = np.array(mx.dequantize(affine.weight, affine.scales, affine.biases, group_size=32, bits=4))
    assert np.array_equal(value.astype(np.float16), np.array(packed.dense())[:, np.array(affine.permutation)])


@pytest.mark.parametrize(("size", "own"), [(32, 32), (64, 64), (96, 32), (128, 128), (192, 64), (256, 128)])
def test_affine_groups_are_the_largest_that_mlx_has(size: int, own: int) -> None:
    affine = random_packed(groups=1, size=size).native(mx.float32)
    assert affine.group_size == own
    assert affine.scales.shape == (24, size // own)


def test_unequal_groups_have_no_affine_form() -> None:
    index = np.arange(128) // 32
    index[0] = 3
    with pytest.raises(mlx_quant.UnsupportedFormat) as caught:
        random_packed(index=index).native()
    assert caught.value.code == "unsupported-affine"


# Less than a row, rows that do not divide the matrix, half of it, all but one row.
@pytest.mark.parametrize("weights", [1, 7 * 128, 20 * 128, 39 * 128])
def test_a_matrix_decoded_in_blocks_equals_its_rows_decoded_alone(
    weights: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = random_packed(out=40)
    whole = packed.dense()
    monkeypatch.setattr("mlx_quant.weights.lookup._BLOCK_WEIGHTS", weights)
    assert mx.array_equal(packed.dense().view(mx.uint16), whole.view(mx.uint16)).item()


def test_eight_bits_decode_to_all_differences() -> None:
    octets = np.arange(256, dtype=np.uint8).reshape(4, 64)
    zeros = np.array([[0, 1, 128, 255], [255, 127, 0, 7]], np.uint8)
    packed = Integer(
        words=mx.array(octets.view(np.uint32)),
        zeros=mx.array(zeros),
        scales=mx.array(np.array([[1, 2, -1, 0.5], [1, 1, 1, -2]], np.float32)),
        bits=8,
        in_features=64,
        group_size=32,
    )
    group = np.arange(64) // 32
    difference = octets.astype(np.float32) - zeros.T[:, group]
    assert np.array_equal(np.array(packed.dense()), difference * np.array(packed.scales).T[:, group])


def gptq_module(rows: int, out: int, groups: int) -> dict[str, mx.array]:
    return {
        "qweight": mx.array(RNG.integers(-(2**31), 2**31, (rows, out), dtype=np.int32)),
        "qzeros": mx.array(RNG.integers(-(2**31), 2**31, (groups, -(-out // 8)), dtype=np.int32)),
        "scales": mx.array((RNG.random((groups, out)) - 0.5).astype(np.float16)),
    }


GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": False, "sym": False}


@pytest.mark.parametrize("mapped", [False, True])
def test_gptq_in_order_is_affine_as_it_stands(mapped: bool) -> None:
    tensors = gptq_module(16, 24, 4)
    g_idx = {"g_idx": mx.arange(128, dtype=mx.int32) // 32} if mapped else {}
    affine = mlx_quant.to_affine(GPTQ, tensors | g_idx)
    assert affine.permutation is None
    assert np.array_equal(np.array(affine.weight).view(np.int32), np.array(tensors["qweight"]).T)


def test_gptq_outputs_need_not_fill_a_word() -> None:
    tensors = gptq_module(4, 21, 1)
    weight = np.array(mlx_quant.dequantize(GPTQ, tensors))
    words, zeros, scales = (np.array(tensors[name]) for name in ("qweight", "qzeros", "scales"))
    for o, i in np.ndindex(21, 32):
        code = int(words[i // 8, o]) >> 4 * (i % 8) & 15
        zero = ((int(zeros[0, o // 8]) >> 4 * (o % 8) & 15) + 1) & 15
        assert weight[o, i] == np.float16(float(scales[0, o]) * (code - zero))


@pytest.mark.parametrize("shape", [(), (64,), (1, 4, 64)])
def test_scales_of_other_axes_are_refused_whatever_sym_says(shape: tuple[int, ...]) -> None:
    config = {"quant_method": "gptq", "bits": 4, "group_size": 32, "sym": True}
    words = mx.full((16, 64), 0x77777777, dtype=mx.int32)
    tensors = {"qweight": words, "qzeros": words[:4, :8], "scales": mx.ones(shape, dtype=mx.float16)}
    with pytest.raises(mlx_quant.MalformedCheckpoint, match="bad-shape"):
        mlx_quant.dequantize(config, tensors)


def test_to_native_names_its_mode_and_to_affine_is_one_of_them() -> None:
    tensors = gptq_module(16, 24, 4)
    native, affine = mlx_quant.to_native(GPTQ, tensors), mlx_quant.to_affine(GPTQ, tensors)
    assert isinstance(native, mlx_quant.AffineWeights)
    assert native.mode == affine.mode == "affine"
    assert native.parameters == {"group_size": 32, "bits": 4, "mode": "affine"}
    assert native.arrays.keys() == {"weight", "scales", "biases"}
    assert all(mx.array_equal(native.arrays[name], affine.arrays[name]).item() for name in native.arrays)


def test_another_mode_is_no_affine_form() -> None:
    class Other(mlx_quant.NativeWeights):
        mode = "other"

    found = Other(mx.zeros((1, 4)), mx.zeros((1, 1)), None, 32, 4)
    assert found.arrays.keys() == {"weight", "scales"}
    with pytest.raises(mlx_quant.UnsupportedFormat, match="unsupported-affine"):
        found.as_affine()


def test_a_group_cut_short_is_no_act_order() -> None:
    assert not random_packed(index=np.minimum(np.arange(128) // 48, 3)).act_order
    assert random_packed(index=np.arange(128) % 4).act_order
    assert not random_packed().act_order


def test_every_error_code_is_declared() -> None:
    with pytest.raises(ValueError, match="has no code"):
        mlx_quant.UnsupportedFormat("a-slip-of-the-pen", "message")
