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
from .host import in_memory

# A tile of so many words by so many rows passes through a copy of its own, which fits into a core's first cache: where
# rows of the file lie a power of two apart, what a column of it touches would push itself out of every cache.
_TILE_WORDS, _TILE_ROWS = 128, 64


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

    def write(self, rows: slice, memory: np.ndarray) -> None:
        """Some rows of it, into memory of their shape."""
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

    def write(self, rows: slice, memory: np.ndarray) -> None:
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

    def write(self, rows: slice, memory: np.ndarray) -> None:
        source = in_memory(self.stored)[:, rows]
        tile = np.empty((_TILE_WORDS, _TILE_ROWS), np.uint32)
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
        places = mx.array([self.order.index(output) for output in range(NIBBLES)])
        block = mx.take(transpose_nibbles(self.stored), places, axis=1)
        return mx.contiguous(block.transpose(2, 1, 0)).reshape(self.shape)

    def write(self, rows: slice, memory: np.ndarray) -> None:
        # Pairs of channels exchange nibbles, so that a byte holds one output's two; what is left is to move bytes.
        source = in_memory(self.stored)[:, rows.start // NIBBLES : rows.stop // NIBBLES]
        # Of a transposed view the products below would lie transposed too, and could not be taken as bytes.
        source = source if source.strides[-1] == source.itemsize else np.ascontiguousarray(source)
        even, odd = source[0::2], source[1::2]
        low, high = np.uint32(0x0F0F0F0F), np.uint32(0xF0F0F0F0)
        pairs = (even & low) | ((odd & low) << np.uint32(4)), ((even & high) >> np.uint32(4)) | (odd & high)
        octets = memory.view(np.uint8).reshape(source.shape[1], NIBBLES, len(even))
        for nibble, output in enumerate(self.order):
            moved = pairs[nibble % 2].view(np.uint8).reshape(*even.shape, 4)[:, :, nibble // 2]
            octets[:, output] = moved.T


def words_of(words: mx.array | Words) -> Words:
    """Plain arrays are words in order."""
    return Rows(words) if isinstance(words, mx.array) else words
