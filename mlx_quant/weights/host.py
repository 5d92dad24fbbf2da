"""Work of the CPU by rows: a result is made a few rows at a time, in memory that stays its own.

A matrix made whole costs a pass over cold memory for each operation. Here a block of rows passes through all operations
while it is in a core's cache, and is then written into the one result. Everything runs on the thread that asks and on
its default stream: MLX gives a stream that is made on another thread a thread of its own, which is never given back.
"""

from __future__ import annotations

from collections.abc import Callable

import mlx.core as mx
import numpy as np

# Writes the rows of a slice into the part of the result that is theirs.
Writer = Callable[[slice, np.ndarray], None]


def in_memory(array: mx.array) -> np.ndarray:
    """The memory of an evaluated array, not copied; bfloat16, which NumPy lacks, as uint16."""
    return np.array(array.view(mx.uint16) if array.dtype == mx.bfloat16 else array, copy=False)


def filled(shape: tuple[int, int], dtype: mx.Dtype, write: Writer, step: int) -> mx.array:
    """A matrix that ``write`` fills, ``step`` rows at a time.

    ``write`` gets a slice of rows and their memory, uint8 to uint32 as wide as ``dtype``. Arrays that it reads must be
    evaluated.
    """
    result = mx.zeros(shape, dtype={1: mx.uint8, 2: mx.uint16, 4: mx.uint32}[dtype.size], stream=mx.cpu)
    mx.eval(result)
    memory = in_memory(result)
    for row in range(0, shape[0], step):
        rows = slice(row, min(row + step, shape[0]))
        write(rows, memory[rows])
    return result.view(dtype, stream=mx.cpu)


def copied(make: Callable[[slice], mx.array]) -> Writer:
    """A writer of what MLX operations give for a slice of rows."""

    def write(rows: slice, memory: np.ndarray) -> None:
        block = make(rows)
        mx.eval(block)
        memory[...] = in_memory(block).view(memory.dtype)

    return write
