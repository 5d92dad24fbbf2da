"""AQLM, packed and taken apart in NumPy, and the configs that describe it.

Source: aqlm 1.1.7, ``utils.py``, ``pack_int_data``, ``unpack_int_data`` and ``_dequantize_weight``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.rounding import nearest
from ..parts import Config, Tensors

WIDTHS = (8, 16, 12, 4, 1)
METHOD = "aqlm"
BITS, NUMBER, ROWS, COLUMNS = "nbits_per_codebook", "num_codebooks", "out_group_size", "in_group_size"
LEFT_OUT = "linear_weights_not_to_quantize"
CODES, BOOKS, SCALES = "codes", "codebooks", "scales"
DEFAULTS = {BITS: 16, NUMBER: 1, ROWS: 1, COLUMNS: 8}


@dataclass(frozen=True)
class Additive:
    """Codes ``q`` [row blocks, column blocks, n], tables ``e`` [n, entries, rows, columns] and scales ``s``
    [row blocks]: ``W = RN(RN(RN32(e_1[q_1] + ... + e_n[q_n])) * s)`` in ``dtype``; the sum begins with 0."""

    q: np.ndarray
    e: np.ndarray
    s: np.ndarray
    dtype: str

    def with_(self, **changes: Any) -> Additive:
        return replace(self, **changes)

    @property
    def block(self) -> tuple[int, int]:
        return self.e.shape[2], self.e.shape[3]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.q.shape[0] * self.block[0], self.q.shape[1] * self.block[1]

    def entries(self, number: int) -> np.ndarray:
        """What one codebook adds to each block: float32 [row blocks, column blocks, rows, columns]."""
        return self.e[number].astype(np.float32)[self.q[..., number]]

    def sums(self) -> np.ndarray:
        """float32, each step rounded."""
        found = np.zeros((*self.q.shape[:2], *self.block), np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            for number in range(self.q.shape[2]):
                found = found + self.entries(number)
        return found

    def scaled(self, blocks: np.ndarray, dtype: str | None) -> Array:
        """Blocks of float64 times the scales of their rows, each product rounded, as a matrix."""
        with np.errstate(invalid="ignore"):
            products = nearest(blocks * self.s[:, None, None, None], self.dtype)
        found = self.matrix(products.bits)
        own = Array(self.dtype, found)
        return own if dtype in (None, self.dtype) else nearest(own.float64(), dtype or self.dtype)

    def matrix(self, blocks: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(blocks.swapaxes(1, 2).reshape(self.shape))

    def dense(self, dtype: str | None) -> Array:
        return self.scaled(nearest(self.sums().astype(np.float64), self.dtype).float64(), dtype)

    def step(self) -> np.ndarray:
        """How far entries of the first codebook spread, which is how far a wrong code leads."""
        spread = float(np.std(self.e[0]))
        return np.broadcast_to(np.repeat(np.abs(self.s), self.block[0])[:, None] * spread, self.shape)

    def triple(self) -> None:
        """Entries lie in no line."""
        return None

    def formula(self, output: int, channel: int) -> str:
        (o, r), (i, c) = divmod(output, self.block[0]), divmod(channel, self.block[1])
        entries = " + ".join(f"{float(self.entries(number)[o, i, r, c])!r}" for number in range(self.q.shape[2]))
        return f"(e_1[q_1] + ...) * s = ({entries}) * {float(self.s[o])!r}"


def config(
    bits: int, group_size: int = -1, *, books: int = 1, block: tuple[int, int] = (1, 8), **changes: Any
) -> dict[str, Any]:
    """Groups are no affair of AQLM's: ``group_size`` says nothing."""
    return {
        "quant_method": METHOD,
        BITS: bits,
        NUMBER: books,
        ROWS: block[0],
        COLUMNS: block[1],
        LEFT_OUT: ["lm_head.weight"],
    } | changes


def said(config: Config) -> tuple[int, int, tuple[int, int]]:
    """Bits of a code, codebooks, and outputs and inputs of a block."""
    bits, books, rows, columns = (config.get(key, default) for key, default in DEFAULTS.items())
    return bits, books, (rows, columns)


def config_of(config: Config, module: str) -> dict[str, Any]:
    return dict(config)


def group_size(config: Config, in_features: int) -> int:
    return in_features


def stored_codes(codes: np.ndarray, bits: int) -> Array:
    """As ``pack_int_data`` has them: those of the upper half are negative."""
    wrapped = np.where(codes >= 1 << (bits - 1), codes - (1 << bits), codes)
    return Array.of(wrapped.astype(np.int8 if bits <= 8 else np.int16))


def laid(codes: np.ndarray, tables: Array, scales: Array, bits: int) -> dict[str, Array]:
    """The tensors of codes [row blocks, column blocks, n], tables and scales of [row blocks]."""
    column = np.ascontiguousarray(scales.bits.reshape(-1, 1, 1, 1))
    return {CODES: stored_codes(codes, bits), BOOKS: tables, SCALES: Array(scales.dtype, column)}


def pack(codes: np.ndarray, zeros: np.ndarray, scales: Array, *, bits: int = 8) -> dict[str, Array]:
    """Blocks of one weight each, and one codebook in which a code stands for itself; scales are float32 [1, out]."""
    line = Array.of(np.arange(1 << bits, dtype=np.float32).reshape(1, -1, 1, 1))
    return laid(codes[:, :, None], line, scales, bits)


def parts(config: Config, tensors: Tensors) -> Additive:
    """A sound module taken apart."""
    bits, books = said(config)[0], tensors[BOOKS]
    q = tensors[CODES].bits.astype(np.int64) & ((1 << bits) - 1)
    return Additive(q, books.float64(), tensors[SCALES].float64().reshape(-1), books.dtype)
