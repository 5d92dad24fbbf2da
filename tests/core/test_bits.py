"""Bit moves at every width, against a stream held in one Python integer."""

from __future__ import annotations

import math

import mlx.core as mx
import numpy as np
import pytest

from mlx_quant.weights.bits import fields_in, pack, transpose_nibbles, unpack, words_for

RNG = np.random.default_rng(11)
WIDTHS = range(1, 9)


def stream(words: np.ndarray, bits: int, count: int) -> list[int]:
    whole = sum(int(word) << 32 * place for place, word in enumerate(words))
    return [whole >> bits * field & (1 << bits) - 1 for field in range(count)]


def random_words(*shape: int) -> np.ndarray:
    return RNG.integers(0, 2**32, shape, dtype=np.uint32)


@pytest.mark.parametrize("length", range(1, 15))
@pytest.mark.parametrize("bits", WIDTHS)
def test_unpack_reads_the_stream_from_the_lowest_bit(bits: int, length: int) -> None:
    words = random_words(2, 3, length)
    whole = fields_in(length, bits)
    for count in {1, 7, 8, 9, whole - 1, whole}:
        if 0 < count <= whole:
            found = unpack(mx.array(words), bits, count)
            assert found.shape == (2, 3, count)
            assert found.dtype == mx.uint8
            assert found[1, 2].tolist() == stream(words[1, 2], bits, count)


@pytest.mark.parametrize("bits", WIDTHS)
def test_unpack_takes_every_field_where_none_is_cut(bits: int) -> None:
    words = random_words(4, math.lcm(32, bits) // 32 * 2)
    assert unpack(mx.array(words), bits)[3].tolist() == stream(words[3], bits, words.shape[1] * 32 // bits)


def test_three_words_hold_32_fields_of_3_bits_and_four_hold_no_whole_number() -> None:
    assert unpack(mx.array(random_words(3)), 3).shape == (32,)
    with pytest.raises(ValueError, match="no whole number"):
        unpack(mx.array(random_words(4)), 3)
    assert unpack(mx.array(random_words(4)), 3, 42).shape == (42,)
    with pytest.raises(ValueError, match="hold 42 fields"):
        unpack(mx.array(random_words(4)), 3, 43)


@pytest.mark.parametrize("bits", [0, 9, 16, -1])
def test_other_widths_are_refused(bits: int) -> None:
    with pytest.raises(ValueError, match="1 to 8"):
        unpack(mx.array(random_words(2)), bits)


@pytest.mark.parametrize("bits", WIDTHS)
def test_pack_undoes_unpack(bits: int) -> None:
    words = mx.array(random_words(2, 3, math.lcm(32, 8 * bits) // 32))
    assert mx.array_equal(pack(unpack(words, bits), bits), words).item()


@pytest.mark.parametrize("bits", WIDTHS)
def test_pack_writes_the_stream(bits: int) -> None:
    count = 32
    codes = RNG.integers(0, 1 << bits, (3, count), dtype=np.uint8)
    words = np.array(pack(mx.array(codes), bits))
    assert words.shape == (3, bits)
    assert [stream(row, bits, count) for row in words] == codes.tolist()


def test_pack_wants_whole_words() -> None:
    with pytest.raises(ValueError, match="whole words"):
        pack(mx.zeros((2, 31), dtype=mx.uint8), 3)


@pytest.mark.parametrize(("fields", "bits", "words"), [(32, 3, 3), (33, 3, 4), (8, 4, 1), (9, 4, 2), (1, 1, 1)])
def test_words_for(fields: int, bits: int, words: int) -> None:
    assert words_for(fields, bits) == words


def test_transpose_nibbles_moves_each_nibble_where_it_says() -> None:
    words = random_words(16, 3)
    got = np.array(transpose_nibbles(mx.array(words)))
    for r, i, c, k in np.ndindex(2, 8, 3, 8):
        assert got[r, i, c] >> np.uint32(4 * k) & 15 == words[8 * r + k, c] >> np.uint32(4 * i) & 15
