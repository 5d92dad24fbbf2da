"""Results made a few rows at a time: whole, in order, with the error of whoever failed; words in whatever order."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
import torch

import mlx_quant
from mlx_quant.weights import bits as bits_module
from mlx_quant.weights import fields, host
from mlx_quant.weights.bits import as_words
from mlx_quant.weights.host import copied, filled, in_memory, largest, place, ready
from mlx_quant.weights.integer import Integer
from mlx_quant.weights.parameters import parameters
from mlx_quant.weights.words import Columns, Nibbles, Words

pytestmark = pytest.mark.usefixtures("hands")

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


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """How many there are, whatever this machine has."""
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    for known in (host._cores, host._threads):
        known.cache_clear()
    yield 3
    for known in (host._cores, host._threads):
        known.cache_clear()


def test_threads_share_what_may_be_shared(threads: int) -> None:
    together = threading.Barrier(threads, timeout=60)

    def write(rows: slice, memory: np.ndarray) -> None:
        together.wait()
        memory[...] = np.arange(rows.start, rows.stop)[:, None]

    step = 1024
    found = filled((threads * step, 128), mx.uint32, write, step, shared=True)
    assert np.array_equal(np.array(found), np.repeat(np.arange(threads * step), 128).reshape(-1, 128))


def test_a_thread_hands_its_error_on(threads: int) -> None:
    def write(rows: slice, memory: np.ndarray) -> None:
        if rows.start:
            raise mlx_quant.UnsupportedFormat("unsupported-affine", f"rows {rows.start}")

    with pytest.raises(mlx_quant.UnsupportedFormat, match="rows 1024"):
        filled((2048, 128), mx.uint32, write, 1024, shared=True)


def test_an_error_waits_for_the_threads_that_write(threads: int) -> None:
    """What they write into must not be freed before."""
    together, begun, ended = threading.Barrier(threads, timeout=60), [], []

    def write(rows: slice, memory: np.ndarray) -> None:
        together.wait()
        begun.append(rows.start)
        if threading.current_thread() is threading.main_thread():
            raise mlx_quant.UnsupportedFormat("unsupported-affine", "here")
        time.sleep(0.2)
        ended.append(rows.start)

    with pytest.raises(mlx_quant.UnsupportedFormat, match="here"):
        filled((8 * 1024, 128), mx.uint32, write, 1024, shared=True)
    assert len(begun) == threads
    assert len(ended) == threads - 1, "and none began another block"


CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@pytest.mark.parametrize(("said", "count"), [("1", 1), ("5", 5), ("many", CORES)])
def test_as_many_threads_as_are_asked_for(said: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert host._cores.__wrapped__() == count


def test_numbers_that_lie_somewhere_are_not_read_again() -> None:
    before, there = len(host._placed), np.arange(6, dtype=np.int32).reshape(2, 3)
    array = mx.full((2, 3), 7, dtype=mx.int32)
    place(array, lambda: there)
    words = as_words(array)
    ready(array, words, None)
    assert in_memory(array) is there
    assert np.array_equal(in_memory(words), there)
    assert in_memory(words).dtype == np.uint32
    # MLX itself knows of no other memory.
    assert mx.all(array == 7).item()
    assert len(host._placed) == before + 2
    del array, words
    assert len(host._placed) == before, "nobody holds what nobody can ask for"


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


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("count", [32, 96, 100])
def test_fields_are_those_that_mlx_finds(bits: int, count: int) -> None:
    words = RNG.integers(0, 2**32, (5, bits_module.words_for(count, bits)), dtype=np.uint32)
    found = fields.unpacked(words, bits, count)
    assert np.array_equal(found, np.array(bits_module.unpack(mx.array(words), bits, count)))
    if count % 32 == 0:
        assert np.array_equal(fields.packed(found, bits), words)


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16])
def test_biases_are_rounded_as_products_are(dtype: mx.Dtype) -> None:
    """Of every scale that is finite, and enough zero points to meet each kind of rounding, overflow too."""
    every = mx.arange(1 << 16, dtype=mx.uint16).view(dtype)
    finite = every[mx.array(np.flatnonzero(np.array(mx.isfinite(every))))]
    some = mx.array([0, 1, 3, 7, 8, 15, 127, 171, 255], dtype=mx.uint8)
    scales = mx.contiguous(mx.broadcast_to(finite, (9, finite.size)))
    zeros = mx.contiguous(mx.broadcast_to(some[:, None], scales.shape))
    mx.eval(scales, zeros)
    stored = torch.from_numpy(np.array(scales.view(mx.int16))).view(_torch(dtype))
    wide = -(stored.float() * torch.from_numpy(np.array(zeros)).float())
    for wanted, whole in ((dtype, mx.int16), (mx.float32, mx.int32)):
        made = parameters(scales, zeros, wanted, 2)
        assert made is not None
        products = wide.to(_torch(wanted)).view(_torch(whole)).numpy()
        assert np.array_equal(np.array(made[1].view(whole)), np.repeat(products.T, 2, axis=1))


def _torch(dtype: mx.Dtype) -> torch.dtype:
    found: torch.dtype = getattr(torch, str(dtype).rpartition(".")[2])
    return found


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16, mx.float32])
@pytest.mark.parametrize("odd", [0.0, -3.5, float("inf"), float("-inf"), float("nan")])
def test_the_largest_is_found_whatever_its_sign(dtype: mx.Dtype, odd: float) -> None:
    found = largest(mx.array([[0.5, -2.0], [odd, 1.0]]).astype(dtype))
    assert math.isnan(found) if math.isnan(odd) else found == max(2.0, abs(odd))


@pytest.mark.parametrize("stored", [mx.float16, mx.bfloat16, mx.float32])
@pytest.mark.parametrize("bits", [3, 4, 7])
def test_what_is_looked_up_is_what_is_computed(bits: int, stored: mx.Dtype, threads: int) -> None:
    """Long groups have their values listed; the same weights in short ones are computed one by one."""
    groups, size, out = 2, 2 << bits, 4096 >> bits - 3
    codes = RNG.integers(0, 1 << bits, (out, groups * size), dtype=np.uint8)
    parts: dict[str, Any] = {
        "words": mx.array(fields.packed(codes, bits)),
        "zeros": mx.array(RNG.integers(0, 1 << bits, (groups, out), dtype=np.uint8)),
        "scales": mx.array(RNG.random((groups, out)) * 1e-4 - 5e-5).astype(stored),
        "bits": bits,
        "in_features": groups * size,
        "group_size": size,
    }
    short = (
        parts | {name: mx.repeat(parts[name], 4, axis=0) for name in ("zeros", "scales")} | {"group_size": size // 4}
    )
    order = RNG.permutation(groups * size)
    for dtype in (mx.float16, mx.bfloat16, mx.float32):
        listed, computed = Integer(**parts).dense(dtype), Integer(**short).dense(dtype)
        width = {2: mx.uint16, 4: mx.uint32}[dtype.size]
        assert mx.array_equal(listed.view(width), computed.view(width)).item()
        scattered = {
            "words": mx.array(fields.packed(codes[:, order], bits)),
            "group_index": mx.array((order // size).astype(np.int32)),
        }
        mapped = Integer(**parts | scattered).dense(dtype)
        assert np.array_equal(np.array(mapped.view(width)), np.array(listed.view(width))[:, order])
