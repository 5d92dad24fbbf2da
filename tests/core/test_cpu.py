"""The CPU's kernels, each against NumPy or by enumeration; and that nothing runs that others may have written."""

from __future__ import annotations

import itertools
import logging
import os
import platform
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

from mlx_quant.weights import cpu
from mlx_quant.weights.cpu import WORTH, Kernels

RNG = np.random.default_rng(41)
ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
BUILDS = {"plain": (), "AVX2": ("-mavx2",)}


@pytest.fixture(scope="module", params=BUILDS)
def kernels(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Kernels:
    """As each kind of machine has them."""
    options = BUILDS[request.param]
    if (compiler := cpu._compiler()) is None:
        pytest.skip("there is no C++ compiler")
    if options and options != cpu._machine()[1]:
        pytest.skip("another machine than this one")
    made = tmp_path_factory.mktemp("kernels") / "cpu.so"
    subprocess.run([*compiler, *cpu._OPTIONS, *options, str(cpu._SOURCE), "-o", str(made)], check=True)
    return Kernels(made)


@pytest.fixture
def unsearched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine that nobody has looked at, whose folder of kernels is this."""
    if cpu._compiler() is None:
        pytest.skip("there is no C++ compiler")
    monkeypatch.setattr(cpu, "_search", cpu._Search())
    monkeypatch.delenv(cpu.SWITCH, raising=False)
    folder = tmp_path / "cache" / "kernels"
    monkeypatch.setattr(cpu, "_folder", lambda: folder)
    return folder


@pytest.mark.parametrize(("words", "rows"), [(1, 8), (16, 16), (37, 40), (64, 128), (5, 200)])
def test_words_are_turned(kernels: Kernels, words: int, rows: int) -> None:
    stored = RNG.integers(0, 2**32, (words, rows + 5), dtype=np.uint32)[:, 3 : 3 + rows]
    memory = np.empty((rows, words), np.uint32)
    kernels.turn_words(stored, memory)
    assert np.array_equal(memory, stored.T)
    kernels.turn_words(np.asfortranarray(stored), memory)
    assert np.array_equal(memory, stored.T)


@pytest.mark.parametrize(("words", "columns"), [(1, 1), (3, 7), (16, 16), (19, 24), (8, 37)])
def test_nibbles_are_turned(kernels: Kernels, words: int, columns: int) -> None:
    """Nibble ``i`` of word [8 w + k, c] is nibble ``k`` of word [8 c + order[i], w]."""
    stored = RNG.integers(0, 2**32, (8 * words, columns + 2), dtype=np.uint32)[:, 1 : 1 + columns]
    memory = np.empty((8 * columns, words), np.uint32)
    kernels.turn_nibbles(stored, ORDER, memory)
    for word, column, k, i in itertools.product(range(words), range(columns), range(8), range(8)):
        found = memory[8 * column + ORDER[i], word] >> np.uint32(4 * k) & np.uint32(15)
        assert found == stored[8 * word + k, column] >> np.uint32(4 * i) & np.uint32(15)


@pytest.mark.parametrize("place", [0, 6, 10, 15])
@pytest.mark.parametrize(("words", "rows"), [(16, 8), (16, 64), (48, 304), (37, 64), (64, 808)])
def test_what_passes_the_caches_by_is_the_same(kernels: Kernels, words: int, rows: int, place: int) -> None:
    """Wherever a line of cache begins; and nothing beside it is written."""
    stored = RNG.integers(0, 2**32, (words, rows), dtype=np.uint32)
    for turn, held in ((kernels.turn_words, stored), (partial(_turned, kernels), stored.reshape(8 * words, -1))):
        around = np.full(words * rows + 64, 7, np.uint32)
        begin = (place - around.ctypes.data // 4) % 16 + 16
        memory, wanted = around[begin : begin + words * rows].reshape(rows, words), np.empty((rows, words), np.uint32)
        turn(held, memory, cold=True)
        turn(held, wanted)
        assert np.array_equal(memory, wanted)
        assert np.all(around[:begin] == 7)
        assert np.all(around[begin + words * rows :] == 7)


def _turned(kernels: Kernels, words: np.ndarray, memory: np.ndarray, *, cold: bool = False) -> None:
    kernels.turn_nibbles(words, ORDER, memory, cold=cold)


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("count", [1, 8, 31, 1029])
def test_fields_are_unpacked_and_packed(kernels: Kernels, bits: int, count: int) -> None:
    wanted = RNG.integers(0, 1 << bits, (3, -(-count // 8) * 8), dtype=np.uint8)
    streams = [
        np.packbits(np.unpackbits(row[:, None], axis=1, bitorder="little")[:, :bits], bitorder="little")
        for row in wanted
    ]
    octets = np.stack(streams)
    memory = np.empty((3, count), np.uint8)
    kernels.unpack(octets, bits, memory)
    assert np.array_equal(memory, wanted[:, :count])
    again = np.empty(octets.size, np.uint8)
    kernels._functions["pack"](cpu._at(wanted), wanted.size // 8, bits, cpu._at(again))
    assert np.array_equal(again.reshape(octets.shape), octets)


def test_columns_are_put_in_order(kernels: Kernels) -> None:
    """Also of rows that lie apart."""
    codes = RNG.integers(0, 256, (7, 50), dtype=np.uint8)
    for part in (codes, codes[:, :41], codes[:, 3:]):
        order = RNG.permutation(part.shape[1]).astype(np.int32)
        memory = np.empty(part.shape, np.uint8)
        kernels.reorder(part, order, memory)
        assert np.array_equal(memory, part[:, order])


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("run", [1, 8, 48, 128, 1100])
@pytest.mark.parametrize(("height", "above"), [(1, 0), (4, 2)])
def test_codes_are_looked_up(kernels: Kernels, dtype: type, bits: int, run: int, height: int, above: int) -> None:
    rows, columns, levels = 6, 2100, 1 << bits
    runs = -(-columns // run)
    codes = RNG.integers(0, levels, (rows, columns), dtype=np.uint8)
    packed = [np.unpackbits(row[:, None], axis=1, bitorder="little")[:, :bits].reshape(-1) for row in codes]
    octets = np.packbits(np.stack(packed), axis=1, bitorder="little")
    lists = RNG.integers(0, 2 ** (8 * dtype().itemsize), (-(-(rows + above) // height), runs * levels), dtype=dtype)
    first = (RNG.permutation(runs) * levels).astype(np.uint32)
    memory = np.empty((rows, columns), dtype)
    lie = {"height": height, "above": above, "first": first, "run": run, "levels": levels}
    kernels.look_up(octets, bits, lists, memory, **lie)
    own = lists[(np.arange(rows) + above) // height]
    assert np.array_equal(
        memory, np.take_along_axis(own, np.repeat(first, run)[:columns] + codes.astype(np.intp), axis=1)
    )


@pytest.mark.parametrize("run", [1, 64])
@pytest.mark.parametrize("levels", [5, 200])
def test_a_code_beyond_its_list_is_its_last_number(kernels: Kernels, run: int, levels: int) -> None:
    """And not what lies behind it in memory."""
    lists = np.arange(levels, dtype=np.uint16)[None]
    codes, memory = np.arange(256, dtype=np.uint8)[None], np.empty((1, 256), np.uint16)
    first = np.zeros(256 // run, np.uint32)
    kernels.look_up(codes, 8, lists, memory, height=1, above=0, first=first, run=run, levels=levels)
    assert np.array_equal(memory[0], np.minimum(np.arange(256), levels - 1))


def halves(dtype: mx.Dtype) -> np.ndarray:
    """The bits of every finite number of 16 bits."""
    every = np.arange(1 << 16, dtype=np.uint32)
    exponent = 0x7C00 if dtype == mx.float16 else 0x7F80
    return every[every & exponent != exponent].astype(np.uint16)


def exact(bits: np.ndarray, dtype: mx.Dtype) -> np.ndarray:
    """float64, which holds every number and product below."""
    if dtype == mx.float16:
        return bits.view(np.float16).astype(np.float64)
    return (bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


def rounded(values: np.ndarray, dtype: mx.Dtype) -> np.ndarray:
    """Bits of float64 rounded once: by NumPy, and of bfloat16 by comparing with the two neighbours."""
    with np.errstate(over="ignore"):
        if dtype == mx.float16:
            return values.astype(np.float16).view(np.uint16)
        if dtype == mx.float32:
            return values.astype(np.float32).view(np.uint32)
    # The values have few digits, so float32 holds them, and the neighbour nearer to zero is their first 16 bits.
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    assert np.array_equal(single, values) or np.isinf(single).any()
    low = (single.view(np.uint32) >> 16).astype(np.uint32)
    high = low + 1
    with np.errstate(invalid="ignore", over="ignore"):
        below, above = (np.abs(single - (each << 16).view(np.float32)) for each in (low, high))
    # Beyond the largest number the next one counts as if there were one.
    beyond = (high & 0x7FFF) == 0x7F80
    above = np.where(beyond, np.abs(2.0**128 - np.abs(values)), above)
    up = (above < below) | ((above == below) & (low % 2 == 1))
    return np.where(np.isinf(single), low, np.where(up, high, low)).astype(np.uint16)


@pytest.mark.parametrize("stored", [mx.float16, mx.bfloat16])
@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16, mx.float32])
def test_every_scale_times_every_difference_is_rounded_once(
    kernels: Kernels, stored: mx.Dtype, dtype: mx.Dtype
) -> None:
    bits = halves(stored)[None]
    for zero in (0, 3, 8, 15):
        memory = np.empty((bits.size, 16), f"u{dtype.size}")
        kernels.list_products(bits, stored, np.full(bits.shape, zero, np.uint8), 4, dtype, memory)
        # A difference of nothing is +0, and takes the sign of the scale.
        products = exact(bits[0], stored)[:, None] * (np.arange(16) - zero).astype(np.float64)
        assert np.array_equal(memory, rounded(products, dtype))


@pytest.mark.parametrize("stored", [mx.float16, mx.bfloat16])
@pytest.mark.parametrize("repeat", [1, 3])
def test_every_parameter_is_rounded_once(kernels: Kernels, stored: mx.Dtype, repeat: int) -> None:
    bits = halves(stored)[:32760].reshape(2, -1)
    zeros = RNG.integers(0, 256, bits.shape, dtype=np.uint8)
    for dtype in (stored, mx.float32):
        for points in (None, zeros):
            memory = np.empty((bits.shape[1], 2 * repeat), f"u{dtype.size}")
            kernels.list_parameters(bits, stored, points, dtype, memory)
            values = exact(bits, stored)
            wanted = rounded(values if points is None else -(zeros * values), dtype)
            assert np.array_equal(memory, np.repeat(wanted.T, repeat, axis=1))


def test_float32_scales_keep_every_bit(kernels: Kernels) -> None:
    scales = RNG.integers(0, 2**32, (3, 500), dtype=np.uint32).view(np.float32)
    scales = np.where(np.isfinite(scales), scales, np.float32(1.5)) / 512
    zeros = RNG.integers(0, 8, scales.shape, dtype=np.uint8)
    memory = np.empty((500, 24), np.uint32)
    kernels.list_products(scales, mx.float32, zeros, 3, mx.float32, memory)
    wanted = scales.T[..., None] * (np.arange(8, dtype=np.float32) - zeros.T[..., None])
    assert np.array_equal(memory, wanted.reshape(500, -1).view(np.uint32))


def test_what_does_not_fit_is_not_written(kernels: Kernels) -> None:
    words, scales = np.zeros((8, 4), np.uint32), np.zeros((2, 3), np.uint16)
    zeros, first = np.zeros((2, 3), np.uint8), np.zeros(1, np.uint32)
    lie = {"height": 1, "above": 0, "first": first, "run": 64, "levels": 16}
    wrong = (
        lambda: kernels.turn_words(words, np.empty((4, 7), np.uint32)),
        lambda: kernels.turn_nibbles(words, ORDER, np.empty((31, 1), np.uint32)),
        lambda: kernels.unpack(words.view(np.uint8), 4, np.empty((8, 33), np.uint8)),
        lambda: kernels.pack(np.zeros((2, 8), np.uint8), 4, np.empty((2, 2), np.uint32)),
        lambda: kernels.reorder(np.zeros((2, 8), np.uint8), np.zeros(7, np.int32), np.empty((2, 8), np.uint8)),
        lambda: kernels.look_up(
            words.view(np.uint8), 4, np.zeros((7, 16), np.uint16), np.empty((8, 32), np.uint16), **lie
        ),
        lambda: kernels.look_up(
            words.view(np.uint8), 4, np.zeros((8, 16), np.uint16), np.empty((8, 33), np.uint16), **lie
        ),
        lambda: kernels.list_products(scales, mx.float16, zeros[:1], 4, mx.float16, np.empty((3, 32), np.uint16)),
        lambda: kernels.list_products(scales, mx.float16, zeros, 4, mx.float16, np.empty((3, 31), np.uint16)),
        lambda: kernels.list_parameters(scales, mx.float16, zeros, mx.float16, np.empty((3, 5), np.uint16)),
    )
    for call in wrong:
        with pytest.raises(ValueError, match="an array of"):
            call()


@pytest.mark.parametrize("mask", [0o002, 0o077])
def test_what_was_compiled_once_is_kept(unsearched: Path, monkeypatch: pytest.MonkeyPatch, mask: int) -> None:
    """Also where all that is made may be written by a group."""
    assert cpu.kernels(WORTH - 1) is None
    assert not unsearched.exists()
    before = os.umask(mask)
    try:
        assert cpu.kernels(WORTH) is not None
    finally:
        os.umask(before)
    assert [path.name for path in unsearched.iterdir()] == [cpu._name()]
    assert unsearched.stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(cpu, "_search", cpu._Search())
    monkeypatch.setattr(cpu, "_compiler", lambda: pytest.fail("it is there"))
    assert cpu.kernels() is not None


@pytest.mark.parametrize("whose", ["folder", "file"])
def test_what_others_may_write_is_not_loaded(unsearched: Path, monkeypatch: pytest.MonkeyPatch, whose: str) -> None:
    unsearched.mkdir(parents=True)
    (unsearched / cpu._name()).write_bytes(b"anything")
    (unsearched if whose == "folder" else unsearched / cpu._name()).chmod(0o777)
    loaded: list[Path] = []
    monkeypatch.setattr(cpu, "Kernels", lambda path: loaded.append(path) or Kernels(path))
    assert cpu.kernels(WORTH) is not None
    # Compiled anew, beside nobody else's, or in place of a file that only its folder's owner can replace.
    assert len(loaded) == 1
    if whose == "folder":
        assert loaded[0].parent.parent != unsearched
        assert (unsearched / cpu._name()).read_bytes() == b"anything"


def test_a_broken_file_is_compiled_again(unsearched: Path, caplog: pytest.LogCaptureFixture) -> None:
    unsearched.mkdir(parents=True, mode=0o700)
    (unsearched / cpu._name()).write_bytes(b"half of it")
    (unsearched / cpu._name()).chmod(0o700)
    assert cpu.kernels() is None
    assert "NumPy decodes" in caplog.text
    assert cpu.kernels(WORTH) is not None


def test_a_compiler_may_have_arguments(unsearched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = cpu._compiler()
    assert compiler is not None
    monkeypatch.setenv("CXX", f"env {shlex.join(compiler)} -O1")
    assert cpu.kernels(WORTH) is not None


@pytest.mark.parametrize("compiler", ["false", "no-such-compiler", "'half a quotation"])
def test_without_a_compiler_numpy_decodes(
    unsearched: Path, compiler: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CXX", compiler)
    with caplog.at_level(logging.WARNING):
        assert cpu.kernels(WORTH) is None
    assert not caplog.text
    assert not unsearched.exists() or not list(unsearched.iterdir())


def test_kernels_that_are_wrong_are_not_used(
    unsearched: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = tmp_path / "cpu.cpp"
    wrong.write_text(cpu._SOURCE.read_text().replace("ab, cd, 0, 1, 4, 5", "ab, cd, 0, 1, 5, 4"))
    monkeypatch.setattr(cpu, "_SOURCE", wrong)
    assert cpu.kernels(WORTH) is None
    assert "do not work here" in caplog.text


def test_the_switch_asks_for_numpy(unsearched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cpu.SWITCH, "0")
    assert cpu.kernels(WORTH) is None
    assert not unsearched.exists()


@pytest.mark.skipif(sys.platform != "linux" or platform.machine() != "x86_64", reason="options of another machine")
def test_machines_that_differ_share_no_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    names = set()
    for options in BUILDS.values():
        monkeypatch.setattr(cpu, "_machine", lambda own=options: ("linux-x86_64", own))
        cpu._name.cache_clear()
        names.add(cpu._name())
    monkeypatch.undo()
    cpu._name.cache_clear()
    assert len(names) == 2
    assert os.sep not in "".join(names)
