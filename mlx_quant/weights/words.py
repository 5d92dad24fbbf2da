"""Codes of a matrix [out, in] as their file holds them, and the rows of words that MLX wants.

Torch's checkpoints lay codes [in, out], so the words of one output stand in a column. They are turned here: whole and
lazily on a GPU, a few rows at a time into given memory on the CPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import mlx.core as mx
import numpy as np

from .bits import NIBBLES, transpose_nibbles
from .cpu import kernels
from .host import in_memory

# A tile of so many words by so many rows passes through a copy of its own, which fits into a core's second cache: where
# rows of the file lie a power of two apart, what a column of it touches would push itself out of every cache.
_TILE_WORDS, _TILE_ROWS = 512, 128
# Of nibbles, whose tile has eight channels for each word, and a column of the file for eight rows.
_TILE_CHANNELS, _TILE_COLUMNS = 128, 64
# For the same reason rows of the copy lie a little further apart, and columns are read from it in half the time.
_APART = 4


class Words(Protocol):
    """uint32 [rows, n] in the order of MLX; rows are asked for by slices that begin at a multiple of 8."""

    @property
    def shape(self) -> tuple[int, int]: ...

    @property
    def stored(self) -> mx.array:
        """The array that must be evaluated before :meth:`write`."""
        ...

    def array(self) -> mx.array:
        """All of it, lazy."""
        ...

    def write(self, rows: slice, memory: np.ndarray, *, cold: bool = False) -> None:
        """Some rows of it, into memory of their shape; ``cold`` says that nobody reads them soon."""
        ...


@dataclass(frozen=True)
class Rows:
    """Words that are in order: uint32 [rows, n]."""

    stored: mx.array

    @property
    def shape(self) -> tuple[int, int]:
        return self.stored.shape[0], self.stored.shape[1]

    def array(self) -> mx.array:
        return self.stored

    def write(self, rows: slice, memory: np.ndarray, *, cold: bool = False) -> None:
        memory[...] = in_memory(self.stored)[rows]


@dataclass(frozen=True)
class Columns:
    """Words that need only be transposed: uint32 [n, rows]."""

    stored: mx.array

    @property
    def shape(self) -> tuple[int, int]:
        return self.stored.shape[1], self.stored.shape[0]

    def array(self) -> mx.array:
        return mx.contiguous(self.stored.T)

    def write(self, rows: slice, memory: np.ndarray, *, cold: bool = False) -> None:
        source = in_memory(self.stored)[:, rows]
        if (found := kernels(self.stored.nbytes)) is not None:
            found.turn_words(source, memory, cold=cold)
            return
        tile = np.empty((_TILE_WORDS, _TILE_ROWS + _APART), np.uint32)
        for row in range(0, len(memory), _TILE_ROWS):
            for word in range(0, len(source), _TILE_WORDS):
                part = source[word : word + _TILE_WORDS, row : row + _TILE_ROWS]
                near = tile[: len(part), : part.shape[1]]
                near[...] = part
                memory[row : row + _TILE_ROWS, word : word + _TILE_WORDS] = near.T


@dataclass(frozen=True)
class Nibbles:
    """Words that hold eight neighbouring outputs of one input channel: uint32 [8 * n, rows / 8].

    Attributes:
        stored: the words.
        order: nibble ``i`` of a word is output ``order[i]`` of its eight.
    """

    stored: mx.array
    order: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, int]:
        return self.stored.shape[1] * NIBBLES, self.stored.shape[0] // NIBBLES

    def array(self) -> mx.array:
        turned = transpose_nibbles(self.stored)
        # No index: a GPU would fetch its memory from the host, and what lies beside it there.
        block = mx.stack([turned[:, self.order.index(output)] for output in range(NIBBLES)], axis=1)
        return mx.contiguous(block.transpose(2, 1, 0)).reshape(self.shape)

    def write(self, rows: slice, memory: np.ndarray, *, cold: bool = False) -> None:
        source = in_memory(self.stored)[:, rows.start // NIBBLES : rows.stop // NIBBLES]
        if (found := kernels(self.stored.nbytes)) is not None:
            found.turn_nibbles(source, self.order, memory, cold=cold)
            return
        words, columns = memory.shape[1], source.shape[1]
        source = source.reshape(words, NIBBLES, columns)
        outputs = memory.reshape(columns, NIBBLES, words)
        tile = np.empty((NIBBLES, _TILE_CHANNELS, _TILE_COLUMNS + _APART), np.uint32)
        changed = np.empty_like(tile[: NIBBLES // 2])
        for column in range(0, columns, _TILE_COLUMNS):
            for word in range(0, words, _TILE_CHANNELS):
                there = outputs[column : column + _TILE_COLUMNS, :, word : word + _TILE_CHANNELS]
                # Channels come first, so that each exchange below is of long rows.
                part = source[word : word + _TILE_CHANNELS, :, column : column + _TILE_COLUMNS].transpose(1, 0, 2)
                near = tile[:, : part.shape[1], : part.shape[2]]
                near[...] = part
                _transpose_in_place(tile, changed)
                for nibble, output in enumerate(self.order):
                    there[:, output] = near[nibble].T


def _transpose_in_place(block: np.ndarray, changed: np.ndarray) -> None:
    """What :func:`transpose_nibbles` does, to uint32 [8, n, m]: nibble ``k`` of word ``i`` becomes nibble ``i`` of word
    ``k``. Of each pair of words the halves, quarters and eighths that change places are found by an exclusive or, in
    memory [4, n, m] that is given for it."""
    for distance, mask in ((4, 0x0000FFFF), (2, 0x00FF00FF), (1, 0x0F0F0F0F)):
        shift = np.uint32(4 * distance)
        pairs = block.reshape(-1, 2, distance, block[0].size)
        upper, lower = pairs[:, 0], pairs[:, 1]
        both = changed.reshape(upper.shape)
        np.right_shift(upper, shift, out=both)
        both ^= lower
        both &= np.uint32(mask)
        lower ^= both
        both <<= shift
        upper ^= both


def words_of(words: mx.array | Words) -> Words:
    """Plain arrays are words in order."""
    return Rows(words) if isinstance(words, mx.array) else words
