"""The core's own arithmetic and bit moves, against enumeration and NumPy."""

from __future__ import annotations

from fractions import Fraction

import mlx.core as mx
import numpy as np
import pytest

import mlx_quant
from mlx_quant.bits import pack, transpose_nibbles, unpack
from mlx_quant.packed import PackedWeights

RNG = np.random.default_rng(11)


def random_packed(groups: int = 4, out: int = 24, size: int = 32, index: np.ndarray | None = None) -> PackedWeights:
    in_features = groups * size
    return PackedWeights(
        words=mx.array(RNG.integers(0, 2**32, (out, in_features // 8), dtype=np.uint32)),
        zeros=mx.array(RNG.integers(0, 16, (groups, out), dtype=np.uint8)),
        scales=mx.array((RNG.random((groups, out)) - 0.5).astype(np.float16)),
        bits=4,
        in_features=in_features,
        group_size=size,
        group_index=None if index is None else mx.array(index.astype(np.int32)),
    )


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_unpack_reads_the_stream_from_the_lowest_bit(bits: int) -> None:
    words = RNG.integers(0, 2**32, (3, 5), dtype=np.uint32)
    stream = [int(word) >> shift & (2**bits - 1) for word in words[1] for shift in range(0, 32, bits)]
    assert unpack(mx.array(words), bits)[1].tolist() == stream


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_pack_undoes_unpack(bits: int) -> None:
    words = mx.array(RNG.integers(0, 2**32, (3, 5), dtype=np.uint32))
    assert mx.array_equal(pack(unpack(words, bits), bits), words).item()


def test_transpose_nibbles_moves_each_nibble_where_it_says() -> None:
    words = RNG.integers(0, 2**32, (16, 3), dtype=np.uint32)
    got = np.array(transpose_nibbles(mx.array(words)))
    for r, i, c, k in np.ndindex(2, 8, 3, 8):
        assert got[r, i, c] >> np.uint32(4 * k) & 15 == words[8 * r + k, c] >> np.uint32(4 * i) & 15


def nearest(value: Fraction, dtype: type[np.floating]) -> np.floating:
    """The value of ``dtype`` nearest to an exact rational, ties to the even bit pattern."""
    guess = dtype(float(value))
    candidates = [guess, np.nextafter(guess, dtype(np.inf)), np.nextafter(guess, dtype(-np.inf))]
    finite = [c for c in candidates if np.isfinite(c)]
    return min(finite, key=lambda c: (abs(Fraction(float(c)) - value), int(c.view(np.uint16)) & 1))


def test_a_float32_scale_is_rounded_once_to_a_narrower_dtype() -> None:
    """Products whose float32 rounding lands on a float16 tie: rounding twice gives the wrong neighbour."""
    ties = (2 * RNG.integers(1024, 2048, 500) + 1) * 2.0**-11
    scales = (ties / RNG.choice([3, 5, 6, 7], ties.size)).astype(np.float32).reshape(1, -1)
    twice = 0
    out = scales.shape[1]
    packed = PackedWeights(
        words=mx.array(np.tile(np.array([0x76543210, 0xFEDCBA98, 0x13579BDF, 0x2468ACE0], np.uint32), (out, 1))),
        zeros=mx.full((1, out), 8, dtype=mx.uint8),
        scales=mx.array(scales),
        bits=4,
        in_features=32,
        group_size=32,
    )
    codes = np.array(packed.codes())
    got = np.array(packed.dense(mx.float16))
    for o, i in np.ndindex(out, 32):
        difference = int(codes[o, i]) - 8
        assert got[o, i] == nearest(Fraction(float(scales[0, o])) * difference, np.float16)
        twice += np.float16(scales[0, o] * np.float32(difference)) != got[o, i]
    assert twice > 0, "the draw never met a double rounding, so it proved nothing"


def test_a_negative_scale_times_zero_is_minus_zero_in_every_dtype() -> None:
    for source in (mx.float16, mx.bfloat16, mx.float32):
        packed = PackedWeights(
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
    affine = packed.affine(mx.float32)
    value = mx.dequantize(affine.weight, affine.scales, affine.biases, group_size=affine.group_size, bits=4)
    # Equal as numbers: s * q + b gives +0.0 where a negative scale times zero is -0.0.
    assert mx.array_equal(value.astype(mx.float16), packed.dense()).item()


def test_affine_keeps_codes_and_scales_and_rounds_biases_once() -> None:
    packed = random_packed()
    affine = packed.affine()
    assert mx.array_equal(affine.weight, packed.words).item()
    assert mx.array_equal(affine.scales, packed.scales.T).item()
    z, s = np.array(packed.zeros.T).astype(np.float64), np.array(packed.scales.T).astype(np.float64)
    assert np.array_equal(np.array(affine.biases), (-(z * s)).astype(np.float16))


def test_affine_of_act_order_permutes_columns_into_groups() -> None:
    index = RNG.permutation(np.arange(128) // 32)
    packed = random_packed(index=index)
    affine = packed.affine(mx.float32)
    assert affine.permutation is not None
    value = np.array(mx.dequantize(affine.weight, affine.scales, affine.biases, group_size=32, bits=4))
    assert np.array_equal(value.astype(np.float16), np.array(packed.dense())[:, np.array(affine.permutation)])


def test_one_group_a_matrix_becomes_groups_of_128() -> None:
    affine = random_packed(groups=1, size=256).affine(mx.float32)
    assert affine.group_size == 128
    assert affine.scales.shape == (24, 2)


def test_unequal_groups_have_no_affine_form() -> None:
    index = np.arange(128) // 32
    index[0] = 3
    with pytest.raises(mlx_quant.UnsupportedFormat) as caught:
        random_packed(index=index).affine()
    assert caught.value.code == "unsupported-affine"


def test_a_matrix_decoded_in_blocks_equals_its_rows_decoded_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = random_packed(out=40)
    whole = packed.dense()
    monkeypatch.setattr("mlx_quant.packed._BLOCK_WEIGHTS", 7 * packed.in_features)
    assert mx.array_equal(packed.dense().view(mx.uint16), whole.view(mx.uint16)).item()


def test_every_error_code_is_declared() -> None:
    with pytest.raises(ValueError, match="has no code"):
        mlx_quant.UnsupportedFormat("a-slip-of-the-pen", "message")
