"""Weights of a CPU, looked up: what each code means in its group is listed once, where groups are long.

Half precision is emulated on a CPU, and MLX's operations are passes over cold memory each. NumPy alone looks up, on all
cores, and a group map costs nothing, because the group is part of the index.
"""

from __future__ import annotations

from collections.abc import Callable

import mlx.core as mx
import numpy as np

from . import fields
from .cpu import Kernels, kernels
from .host import Filling, Writer, block_rows, copied, filled, in_memory
from .pieces import pieces

# Looked up in blocks of about so many weights: what lies between two steps stays in cache, and a step is long beside
# handing Python's lock from one thread to another. So many blocks' codes are asked for at once.
_BLOCK_WEIGHTS, _BLOCKS = 1 << 18, 4


def pays(weights: int, listed: int) -> bool:
    """Whether so many weights are looked up sooner in lists of so many numbers than made one by one."""
    return mx.default_device() == mx.cpu and weights >= 2 * listed


def lists(rows: int, width: int, dtype: mx.Dtype, make: Callable[[slice], mx.array]) -> Callable[[slice], np.ndarray]:
    """What :func:`look_up` takes for lists: numbers [rows, width], made by MLX's operations for slices of rows."""
    memory = in_memory(filled((rows, width), dtype, copied(make), pieces(width)))
    return lambda part: memory[part].view(f"u{dtype.size}")


def look_up(
    shape: tuple[int, int],
    dtype: mx.Dtype,
    codes: Callable[[slice], np.ndarray],
    lists: Callable[[slice], np.ndarray],
    width: int,
    *,
    bits: int = 8,
    first: np.ndarray | int = 0,
    height: int = 1,
    levels: int | None = None,
    step: int | None = None,
) -> Filling:
    """A matrix ``shape`` [rows, columns] of ``dtype``; other threads begin with it at once.

    Args:
        codes: gives rows of words or bytes for a slice of rows, whose first fields of ``bits`` are the codes, lowest
            first. Asks nothing of MLX but memory, nor does ``lists``.
        lists: gives the bits of ``dtype``, uint16 or uint32 [n, width], for a slice of rows of lists.
        width: numbers in a row of lists.
        first: [columns], where the list of each column begins in a row of them, if there are several.
        height: neighbouring rows that share a row of lists.
        levels: numbers in a list; None where a row of them is one.
        step: rows that codes are asked for at once, by NumPy.
    """
    few = max(1, min(shape[0], _BLOCK_WEIGHTS // shape[1]))
    if (hands := kernels(shape[0] * shape[1])) is not None:
        by_kernel = _by_kernel(hands, bits, shape[1], codes, lists, first, height, levels or width)
        return Filling(shape, dtype, by_kernel, block_rows(*shape), shared=True)
    apart = few if height == 1 else 1
    # Sums of small numbers cost a third of sums of what NumPy takes for an index, which it makes of them itself.
    small = np.uint16 if apart * width <= 1 << 16 else np.uint32
    starts = (first + np.arange(apart)[:, None] * width).astype(small)

    def write(rows: slice, memory: np.ndarray) -> None:
        found = fields.unpacked(codes(rows), bits, shape[1])
        sums = np.empty((few, shape[1]), small)
        above = rows.start // height
        table = lists(slice(above, -(-rows.stop // height)))
        row = rows.start
        while row < rows.stop:
            end = min(row + few, rows.stop)
            if height > 1:
                end = min(end, (row // height + 1) * height)
            part, count = slice(row - rows.start, end - rows.start), end - row
            np.add(found[part], starts[:count], out=sums[:count])
            own = table[row // height - above : -(-end // height) - above].reshape(-1)
            # No index is beyond its table; NumPy would check all of them first unless it may wrap them.
            own.take(sums[:count], out=memory[part], mode="wrap")
            row = end

    return Filling(shape, dtype, write, step or _BLOCKS * few, shared=True)


def _by_kernel(
    kernels: Kernels,
    bits: int,
    columns: int,
    codes: Callable[[slice], np.ndarray],
    lists: Callable[[slice], np.ndarray],
    first: np.ndarray | int,
    height: int,
    levels: int,
) -> Writer:
    starts = np.broadcast_to(first, columns).astype(np.uint32)
    # Neighbours share a list in runs of one length, the last one perhaps shorter, or each has its own.
    run = int(np.argmax(starts != starts[0])) or columns
    if not np.array_equal(np.repeat(starts[::run], run)[:columns], starts):
        run = 1

    def write(rows: slice, memory: np.ndarray) -> None:
        above = rows.start // height
        own = lists(slice(above, -(-rows.stop // height)))
        octets = np.ascontiguousarray(codes(rows)).view(np.uint8)
        within = rows.start % height
        kernels.look_up(
            octets, bits, own, memory, height=height, above=within, first=starts[::run], run=run, levels=levels
        )

    return write
