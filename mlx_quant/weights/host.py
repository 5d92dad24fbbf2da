"""Work of the CPU, shared out among all its cores: rows of a result, written where they belong.

MLX runs an operation of the CPU on one core and gives every result memory of its own, so a matrix made whole costs a
pass over cold memory for each operation, and one made in blocks another to join them. Here a block passes through all
operations while it is in a core's cache, and is then copied into the one result.
"""

from __future__ import annotations

import ctypes
import functools
import io
import math
import mmap
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO, cast

import mlx.core as mx
import numpy as np

# Writes the rows of a slice into the part of the result that is theirs.
Writer = Callable[[slice, np.ndarray], None]
_LARGE = 1 << 22
_local = threading.local()


def in_memory(array: mx.array) -> np.ndarray:
    """The memory of an evaluated array, not copied; bfloat16, which NumPy lacks, as uint16."""
    return np.array(array.view(mx.uint16) if array.dtype == mx.bfloat16 else array, copy=False)


def filled(shape: tuple[int, int], dtype: mx.Dtype, write: Writer, step: int) -> mx.array:
    """A matrix that ``write`` fills, ``step`` rows at a time, on all cores.

    ``write`` gets a slice of rows and their memory, uint8 to uint32 as wide as ``dtype``; MLX operations in it run on
    a stream of the thread that calls it. Arrays that it reads must be evaluated.
    """
    parts = [slice(row, min(row + step, shape[0])) for row in range(0, shape[0], step)]

    def fill(memory: np.ndarray) -> None:
        def work(rows: slice) -> None:
            with mx.stream(_stream()):
                write(rows, memory[rows])

        if len(parts) > 1:
            list(_workers().map(work, parts))
        else:
            work(parts[0])

    source = _Computed(shape, np.dtype(f"u{dtype.size}"), fill)
    # What MLX made itself, empty or zero, it would write first, on one core, a small page at a time; into what it
    # reads from a file it writes nothing.
    try:
        result = mx.load(cast(BinaryIO, source), format="npy")
        assert isinstance(result, mx.array)
        mx.eval(result)
    except RuntimeError:
        if source.error is not None:
            raise source.error from None
        raise
    return result.view(dtype, stream=mx.cpu)


class _Computed(io.RawIOBase):
    """A file of NumPy's format whose numbers are computed when they are read."""

    def __init__(self, shape: tuple[int, int], dtype: np.dtype[Any], fill: Callable[[np.ndarray], None]) -> None:
        header = io.BytesIO()
        descr = np.lib.format.dtype_to_descr(dtype)
        np.lib.format.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": shape})
        self._header, self._place = header.getvalue(), 0
        self._shape, self._dtype, self._fill = shape, dtype, fill
        self.error: BaseException | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: len(self._header) + self._nbytes}
        self._place = start[whence] + offset
        return self._place

    @property
    def _nbytes(self) -> int:
        return math.prod(self._shape) * self._dtype.itemsize

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        if self._place < len(self._header):
            piece = self._header[self._place : self._place + len(view)]
            view[: len(piece)] = piece
        else:
            assert (self._place, len(view)) == (len(self._header), self._nbytes), "it is read as a whole"
            memory = np.frombuffer(view, self._dtype).reshape(self._shape)
            _advise(memory)
            try:
                self._fill(memory)
            except BaseException as error:
                self.error = error
                raise
        self._place += len(view)
        return len(view)


def copied(make: Callable[[slice], mx.array]) -> Writer:
    """A writer of what MLX operations give for a slice of rows."""

    def write(rows: slice, memory: np.ndarray) -> None:
        block = make(rows)
        mx.eval(block)
        memory[...] = in_memory(block).view(memory.dtype)

    return write


def _advise(memory: np.ndarray) -> None:
    """Ask for large pages, as NumPy does for its own memory and MLX does not: small ones cost as much as decoding."""
    if not hasattr(mmap, "MADV_HUGEPAGE"):
        return
    begin, end = memory.ctypes.data, memory.ctypes.data + memory.nbytes
    begin += -begin % mmap.PAGESIZE
    if end - begin >= _LARGE:
        # Advice: where the kernel does not take it, nothing is lost.
        ctypes.CDLL(None).madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), mmap.MADV_HUGEPAGE)


def _stream() -> mx.Stream:
    """This thread's own; streams of MLX belong to the thread that made them."""
    if not hasattr(_local, "stream"):
        _local.stream = mx.new_stream(mx.cpu)
    return _local.stream


@functools.cache
def _workers() -> ThreadPoolExecutor:
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return ThreadPoolExecutor(available or 1, thread_name_prefix="mlx-quant")
