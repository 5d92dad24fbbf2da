"""Work of the CPU by rows: a result is made a few rows at a time, in memory that stays its own.

A matrix made whole costs a pass over cold memory for each operation. Here a block of rows passes through all operations
while it is in a core's cache, and is then written into the one result. What needs nothing but NumPy is shared out over
the cores; MLX's operations run on the thread that asks and on its default stream, because MLX gives a stream that is
made on another thread a thread of its own, which is never given back.
"""

from __future__ import annotations

import ctypes
import io
import math
import mmap
import os
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, cast

import mlx.core as mx
import numpy as np

# Writes the rows of a slice into the part of the result that is theirs.
Writer = Callable[[slice, np.ndarray], None]
_HUGE = 2 << 20
# Eight outputs share a word of AWQ's, and 16 words a line of cache. Of more rows than these, what is read or written
# lies on more pages than a core remembers.
_LINES, _MOST_ROWS, _LEAST_NUMBERS = 128, 1024, 1 << 18
# From this size on, the C library on Linux has memory mapped anew each time; what is smaller, it uses again.
_MAPPED = 32 << 20
# Floats that NumPy has too: a view, which is what bfloat16 has to be, is evaluated once more.
_NAMES = {mx.float16: "f2", mx.float32: "f4"}
# A smaller result is copied once more: every evaluation wakes MLX's thread, which takes longer. One smaller still is
# made by one thread.
_COPIED, _SHARED = 1 << 21, 1 << 18


# What gives the memory of lazy arrays whose numbers lie in a file, by identity.
_placed: dict[int, tuple[weakref.ref[mx.array], Callable[[], np.ndarray]]] = {}


def place(array: mx.array, memory: Callable[[], np.ndarray]) -> None:
    """Say that the numbers of a lazy array lie in the ``memory`` that this gives, for as long as there is the array:
    :func:`ready` leaves it as it is then, and :func:`in_memory` takes that memory. MLX's operations read the file."""
    key = id(array)
    _placed[key] = weakref.ref(array, lambda _: _placed.pop(key, None)), memory


def placed(array: mx.array) -> Callable[[], np.ndarray] | None:
    """What :func:`place` was told of an array."""
    found = _placed.get(id(array))
    return found[1] if found is not None and found[0]() is array else None


def ready(*arrays: mx.array | None) -> None:
    """Evaluate arrays whose numbers are nowhere in memory yet."""
    mx.eval(*(array for array in arrays if array is not None and placed(array) is None))


def in_memory(array: mx.array) -> np.ndarray:
    """The memory of an array that is :func:`ready`, not copied; bfloat16, which NumPy lacks, as uint16."""
    if (memory := placed(array)) is not None:
        return memory()
    return np.array(array.view(mx.uint16) if array.dtype == mx.bfloat16 else array, copy=False)


def read(*scalars: mx.array) -> list[Any]:
    """What several scalars are, for which a GPU is waited for once."""
    mx.eval(*scalars)
    return [scalar.item() for scalar in scalars]


def largest(array: mx.array) -> float:
    """The largest magnitude of some floats; NaN or infinite where one of them is. Evaluates them."""
    if not array.size:
        return 0.0
    if array.dtype not in (mx.float16, mx.bfloat16, mx.float32):
        array = array.astype(mx.float32)
    if mx.default_device() == mx.gpu:
        return cast(float, mx.abs(array).max().item())
    mx.eval(array)
    memory = in_memory(array)
    if array.dtype == mx.float32:
        return float(np.abs(memory).max())
    # As whole numbers without their signs halves have the order of their magnitudes, and no operation is emulated.
    bits = (memory.view(np.uint16) & np.uint16(0x7FFF)).max()
    if array.dtype == mx.float16:
        return float(bits.view(np.float16))
    return float((bits.astype(np.uint32) << np.uint32(16)).view(np.float32))


def extremes(array: mx.array | np.ndarray) -> tuple[int, int]:
    """The least and the largest of some whole numbers. Evaluates them."""
    if isinstance(array, mx.array):
        if mx.default_device() == mx.gpu:
            low, high = read(array.min(), array.max())
            return low, high
        mx.eval(array)
        array = in_memory(array)
    return int(array.min()), int(array.max())


def filled(shape: tuple[int, int], dtype: mx.Dtype, write: Writer, step: int, *, shared: bool = False) -> mx.array:
    """A matrix that ``write`` fills, ``step`` rows at a time; as :class:`Filling`."""
    return Filling(shape, dtype, write, step, shared=shared).whole()


class Filling:
    """A matrix that ``write`` fills, ``step`` rows at a time.

    ``write`` gets a slice of rows and their memory, uint8 to uint32 as wide as ``dtype``. Arrays that it reads must be
    :func:`ready`. ``shared`` says that it may run on several threads at once, since it asks nothing of MLX but memory;
    other threads then begin at once, and this one joins them when it calls :meth:`whole`.
    """

    def __init__(
        self, shape: tuple[int, int], dtype: mx.Dtype, write: Writer, step: int, *, shared: bool = False
    ) -> None:
        _keep_freed_memory()
        known = _NAMES.get(dtype, f"u{dtype.size}")
        self._dtype = dtype
        size = math.prod(shape) * dtype.size
        self._large = _unwritten(shape, known) if size >= _COPIED else None
        self._memory = _lent(size).view(known).reshape(shape) if self._large is None else in_memory(self._large)
        self._write, self._written = write, self._memory.view(f"u{dtype.size}")
        self._blocks = deque(slice(row, min(row + step, shape[0])) for row in range(0, shape[0], step))
        others = min(len(self._blocks), _cores()) - 1 if shared and size >= _SHARED else 0
        self._others = [_threads().submit(self._work) for _ in range(others)]

    def whole(self) -> mx.array:
        """The matrix, complete. Raises what ``write`` raised, after all threads have ended their blocks."""
        try:
            self._work()
        finally:
            self._blocks.clear()
            for other in self._others:
                # One that has not begun has nothing left to do.
                if not other.cancel():
                    other.result()
        if (found := self._large) is None:
            found = mx.array(self._memory)
            _give_back(self._memory)
        return found if found.dtype == self._dtype else found.view(self._dtype, stream=mx.cpu)

    def _work(self) -> None:
        while True:
            try:
                rows = self._blocks.popleft()
            except IndexError:
                return
            self._write(rows, self._written[rows])


# Memory of small results that were copied: touched before, so that the next one need not be.
_spare: deque[np.ndarray] = deque(maxlen=2)


def _lent(nbytes: int) -> np.ndarray:
    """uint8, that many."""
    try:
        memory = _spare.pop()
    except IndexError:
        memory = np.empty(_COPIED, np.uint8)
    return memory[:nbytes]


def _give_back(memory: np.ndarray) -> None:
    while memory.base is not None:
        memory = memory.base
    _spare.append(memory)


def copied(make: Callable[[slice], mx.array]) -> Writer:
    """A writer of what MLX operations give for a slice of rows."""

    def write(rows: slice, memory: np.ndarray) -> None:
        block = make(rows)
        mx.eval(block)
        memory[...] = in_memory(block).view(memory.dtype)

    return write


def block_rows(rows: int, columns: int) -> int:
    """How many rows of numbers a core makes at once with kernels: enough to leave it a second block, in whole lines of
    cache of either order, but no more than whose pages it finds quickly; of short rows as many as are worth a call."""
    part = min(-(-rows // (2 * _cores())), max(_MOST_ROWS, _LEAST_NUMBERS // columns))
    return -(-part // _LINES) * _LINES


@cache
def _cores() -> int:
    """As many as this process has, or ``OMP_NUM_THREADS`` says."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    said = os.environ.get("OMP_NUM_THREADS", "")
    return int(said) if said.isdecimal() and int(said) else cores


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_cores() - 1, "mlx-quant-rows")


@cache
def _keep_freed_memory() -> None:
    """Let Linux's C library keep what a block was made of for the next block.

    It maps anew, and gives back, what is larger than any mapped memory that was freed before, up to ``_MAPPED``, and
    pages touched for the first time cost more than to decode what they hold. So something as large is freed once.
    """
    np.empty(_MAPPED - (1 << 16), np.uint8)


class _Nothing(io.RawIOBase):
    """A file of an array in NumPy's format, of which all but the header is left as the reader's memory was."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        header = io.BytesIO()
        told = {"descr": dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(header, told)
        self._header, self._place = header.getvalue(), 0
        self._end = len(self._header) + math.prod(shape) * dtype.itemsize

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._end}[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        part = self._header[self._place : self._place + len(buffer)]
        buffer[: len(part)] = part
        self._place += len(buffer)
        return len(buffer)


def _unwritten(shape: tuple[int, int], dtype: str) -> mx.array:
    """Memory of MLX's own for numbers that NumPy calls so, evaluated, holding whatever it holds.

    ``mx.zeros`` and ``mx.empty`` write every number one by one, which takes longer than to decode it, and MLX takes no
    memory of others on a CPU. What it loads, it allocates and gives to the file to be written.
    """
    result = cast(mx.array, mx.load(cast(Any, _Nothing(shape, np.dtype(dtype))), format="npy", stream=mx.cpu))
    mx.eval(result)
    if in_memory(result).nbytes >= _MAPPED and hasattr(mmap, "MADV_HUGEPAGE"):
        _in_huge_pages(in_memory(result))
    return result


def _in_huge_pages(memory: np.ndarray) -> None:
    """Ask Linux for pages of 2 MB, as NumPy does for memory of its own; without, a quarter of the time of decoding is
    that pages of 4 KB are touched for the first time. Whatever it answers is well."""
    begin = -(-memory.ctypes.data // _HUGE) * _HUGE
    whole = (memory.ctypes.data + memory.nbytes - begin) // _HUGE * _HUGE
    ctypes.CDLL(None).madvise(ctypes.c_void_p(begin), ctypes.c_size_t(whole), mmap.MADV_HUGEPAGE)
