"""Results made on all cores: whole, in order, and with the error of whoever failed; words in whatever order."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest

import mlx_quant
from mlx_quant.weights.host import copied, filled
from mlx_quant.weights.integer import Integer
from mlx_quant.weights.words import Columns, Nibbles, Words

RNG = np.random.default_rng(12)


@pytest.mark.parametrize("dtype", [mx.uint8, mx.float16, mx.bfloat16, mx.float32])
@pytest.mark.parametrize("step", [1, 3, 40, 41])
def test_every_row_is_written_where_it_belongs(step: int, dtype: mx.Dtype) -> None:
    wanted = mx.arange(40 * 7).reshape(40, 7).astype(dtype)
    mx.eval(wanted)
    found = filled((40, 7), dtype, copied(lambda rows: wanted[rows]), step)
    assert found.dtype == dtype
    assert mx.array_equal(found, wanted).item()


@pytest.mark.parametrize("step", [1, 8])
def test_an_error_is_the_one_that_was_raised(step: int) -> None:
    def write(rows: slice, memory: np.ndarray) -> None:
        raise mlx_quant.UnsupportedFormat("unsupported-affine", f"rows {rows.start}")

    with pytest.raises(mlx_quant.UnsupportedFormat, match="rows 0"):
        filled((8, 4), mx.float16, write, step)


def words() -> list[Words]:
    stored = mx.array(RNG.integers(0, 2**32, (64, 16), dtype=np.uint32))
    return [Columns(stored), Nibbles(stored, (0, 2, 4, 6, 1, 3, 5, 7)), Nibbles(stored, tuple(range(8)))]


@pytest.mark.parametrize("words", words())
def test_words_written_row_by_row_are_those_of_the_whole(words: Words) -> None:
    memory = np.zeros(words.shape, np.uint32)
    for row in range(0, words.shape[0], 8):
        words.write(slice(row, row + 8), memory[row : row + 8])
    assert np.array_equal(memory, np.array(words.array()))


def test_nibbles_are_outputs_in_the_order_that_is_said() -> None:
    order = (0, 2, 4, 6, 1, 3, 5, 7)
    stored = RNG.integers(0, 2**32, (16, 3), dtype=np.uint32)
    found = np.array(Nibbles(mx.array(stored), order).array())
    assert found.shape == (24, 2)
    for channel, column, nibble in np.ndindex(16, 3, 8):
        code = found[8 * column + order[nibble], channel // 8] >> np.uint32(4 * (channel % 8)) & 15
        assert code == stored[channel, column] >> np.uint32(4 * nibble) & 15


@pytest.mark.parametrize("ordered", [True, False])
def test_what_is_planned_is_what_comes(ordered: bool) -> None:
    index = np.arange(512) // 128
    weight = Integer(
        words=Columns(mx.array(RNG.integers(0, 2**32, (64, 40), dtype=np.uint32))),
        zeros=mx.array(RNG.integers(0, 16, (4, 40), dtype=np.uint8)),
        scales=mx.array(RNG.random((4, 40)).astype(np.float16)),
        bits=4,
        in_features=512,
        group_size=128,
        group_index=None if ordered else mx.array(RNG.permutation(index).astype(np.int32)),
    )
    planned, native = weight.planned(), weight.native()
    assert planned.parameters == native.parameters
    assert (planned.permutation is None) == ordered
    for name, array in native.arrays.items():
        assert mx.array_equal(array, planned.arrays[name]).item()
