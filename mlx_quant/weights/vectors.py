"""Vectors of outputs that are looked up in codebooks, with residuals, outliers and an order of inputs."""

from __future__ import annotations

from dataclasses import dataclass

import mlx.core as mx

from .native import NativeWeights, no_packed_form
from .pieces import pieces

_WORD = 32


@dataclass(frozen=True)
class Vectors:
    """``W = RN(RN(RN(e[q] + r[p]) * s) + b)``, all in the dtype of the codebooks; steps that a module lacks are left
    out.

    Attributes:
        words: uint32 [codebooks, rows of vectors, words], each row a stream of bits, lowest first: for each of
            ``group`` inputs the code of an entry, then that of its residual.
        tables: [codebooks, 2**bits, vector], all finite: float16, bfloat16 or float32.
        residuals: [codebooks, 2**more, vector], or None.
        group: inputs of each codebook.
        out_features: at most rows times vector; rows beyond are padding.
        outliers: (codes [rows, inputs], each less than n; table [n, vector]) of the first columns, or None.
        order: int32 [in], the stored column of each input, or None where they are in order.
        scales, biases: [in], or None both.
    """

    words: mx.array
    tables: mx.array
    residuals: mx.array | None
    group: int
    out_features: int
    outliers: tuple[mx.array, mx.array] | None = None
    order: mx.array | None = None
    scales: mx.array | None = None
    biases: mx.array | None = None

    @property
    def shape(self) -> tuple[int, int]:
        apart = 0 if self.outliers is None else self.outliers[0].shape[1]
        return self.out_features, apart + self.words.shape[0] * self.group

    @property
    def dtype(self) -> mx.Dtype:
        return self.tables.dtype

    @property
    def act_order(self) -> bool:
        return self.order is not None

    def dense(self, dtype: mx.Dtype | None = None) -> mx.array:
        """``W`` [out, in] as ``dtype``, which is cast from the format's own; lazy."""
        dtype = dtype or self.dtype
        rows, vector = self.words.shape[1], self.tables.shape[2]
        step = pieces(vector * self.shape[1])
        apart = None if self.outliers is None else _columns(*self.outliers)
        parts = []
        for start in range(0, rows, step):
            first, last = start * vector, min((start + step) * vector, self.out_features)
            found = [self._book(number, start, start + step)[: last - first] for number in range(len(self.tables))]
            if apart is not None:
                found.insert(0, apart[first:last])
            columns = mx.concatenate(found, axis=1) if len(found) > 1 else found[0]
            parts.append(self._normed(columns).astype(dtype))
        return mx.concatenate(parts) if len(parts) > 1 else parts[0]

    def native(self, params_dtype: mx.Dtype | None = None) -> NativeWeights:
        """UnsupportedFormat ``unsupported-affine``: MLX has no packed mode in which codes are looked up in tables."""
        raise no_packed_form("MLX has no packed form for codes that are looked up in codebooks")

    def _book(self, number: int, start: int, stop: int) -> mx.array:
        """Columns of one codebook, of some rows of vectors: [outputs, group]."""
        bits = _width(self.tables)
        more = 0 if self.residuals is None else _width(self.residuals)
        codes = _fields(self.words[number, start:stop], bits + more, self.group)
        found = _columns(codes & ((1 << bits) - 1), self.tables[number])
        if self.residuals is None:
            return found
        added = _columns(codes >> bits, self.residuals[number])
        return (found.astype(mx.float32) + added.astype(mx.float32)).astype(self.dtype)

    def _normed(self, columns: mx.array) -> mx.array:
        if self.order is not None:
            columns = mx.take(columns, self.order, axis=1)
        if self.scales is None or self.biases is None:
            return columns
        # The product of two half floats is exact in float32.
        products = (columns.astype(mx.float32) * self.scales.astype(mx.float32)).astype(self.dtype)
        return (products.astype(mx.float32) + self.biases.astype(mx.float32)).astype(self.dtype)


def _width(tables: mx.array) -> int:
    return tables.shape[1].bit_length() - 1


def _fields(words: mx.array, bits: int, count: int) -> mx.array:
    """uint32 [rows, count]: the first fields of a stream of at most 32 bits each."""
    places = mx.arange(count) * bits
    word, shift = places // _WORD, (places % _WORD).astype(mx.uint32)
    low = mx.take(words, word, axis=1) >> shift
    after = mx.take(words, mx.minimum(word + 1, words.shape[1] - 1), axis=1)
    # A shift by 32 is undefined: in two steps, of which the last one is never that far.
    high = (after << (_WORD - 1 - shift)) << 1
    return (low | high) & mx.array((1 << bits) - 1, dtype=mx.uint32)


def _columns(codes: mx.array, table: mx.array) -> mx.array:
    """Entries of codes [rows, inputs], each a column of outputs: [rows * vector, inputs]."""
    rows, inputs = codes.shape
    return mx.take(table, codes, axis=0).swapaxes(1, 2).reshape(rows * table.shape[1], inputs)
