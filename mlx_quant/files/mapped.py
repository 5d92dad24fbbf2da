"""Tensors in the mapped memory of their file: what is decoded word by word need not be copied first.

Each tensor is mapped for itself, and unmapped when nothing holds its numbers any more, so that memory holds no more of
a file than is being decoded. A thread touches what comes next in the order of the file, because whoever turns words
jumps through them.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import mlx.core as mx
import numpy as np

from ..errors import ConversionError
from .folder import TensorInfo, readable

# Smaller tensors are copied sooner than mapped.
LEAST = 1 << 18


class Mapped:
    """A safetensors file at ``path``, whose header was read and found sound before."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with readable(path.name), open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            told = json.loads(file.read(length))
        told.pop("__metadata__", None)
        self._begins = {name: 8 + length + said["data_offsets"][0] for name, said in told.items()}

    def memory(self, info: TensorInfo) -> Callable[[], np.ndarray] | None:
        """What gives the numbers of a tensor, read only, bfloat16 as uint16; None unless they lie at a multiple of
        their size. Raises ConversionError ``source-changed`` when called, if the file has become shorter."""
        begin = self._begins[info.name]
        return None if begin % info.mlx_dtype.size else cache(lambda: self._mapped(begin, info))

    def _mapped(self, begin: int, info: TensorInfo) -> np.ndarray:
        before = begin % mmap.ALLOCATIONGRANULARITY
        with readable(info.file), open(self._path, "rb") as file:
            # Beyond its end is memory that kills whoever reads it.
            if os.fstat(file.fileno()).st_size < begin + info.nbytes:
                raise ConversionError("source-changed", "has become shorter; download it again", where=info.file)
            pages = mmap.mmap(file.fileno(), before + info.nbytes, access=mmap.ACCESS_READ, offset=begin - before)
        if hasattr(mmap, "MADV_SEQUENTIAL"):
            pages.madvise(mmap.MADV_SEQUENTIAL)
        dtype = "uint16" if info.mlx_dtype == mx.bfloat16 else str(info.mlx_dtype).rpartition(".")[2]
        return np.frombuffer(pages, dtype, info.size, before).reshape(info.shape)


def touch(memory: Callable[[], np.ndarray]) -> None:
    """Begin to bring mapped memory in from its file."""
    _reader().submit(lambda: memory().reshape(-1).view(np.uint8)[:: mmap.PAGESIZE].max())


@cache
def _reader() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "mlx-quant-reader")
