"""Blocks of a matrix that are sums of entries of codebooks, and a scale for each row of blocks."""

from __future__ import annotations

from dataclasses import dataclass

import mlx.core as mx

from .native import NativeWeights, no_packed_form
from .pieces import pieces
from .rounding import rounded


@dataclass(frozen=True)
class Codebooks:
    """``W = RN(RN(e_1[q_1] + ... + e_n[q_n]) * s)``, both roundings in the dtype of the codebooks.

    The sum is made in float32, from 0 and in the order of the codebooks, each step of it rounded. From 0: an entry of
    -0 becomes 0.

    Attributes:
        codes: uint8 or uint16 [row blocks, column blocks, n], less than the number of entries.
        tables: [n, entries, rows, columns], all finite: float16, bfloat16 or float32.
        scales: [row blocks] of the same dtype, all finite.
    """

    codes: mx.array
    tables: mx.array
    scales: mx.array

    @property
    def shape(self) -> tuple[int, int]:
        (out_blocks, in_blocks, _), (*_, rows, columns) = self.codes.shape, self.tables.shape
        return out_blocks * rows, in_blocks * columns

    @property
    def dtype(self) -> mx.Dtype:
        return self.tables.dtype

    @property
    def act_order(self) -> bool:
        return False

    def dense(self, dtype: mx.Dtype | None = None) -> mx.array:
        """``W`` [out, in] as ``dtype``, which is cast from the format's own; lazy."""
        dtype = dtype or self.dtype
        _, entries, rows, columns = self.tables.shape
        tables = self.tables.astype(mx.float32).reshape(-1, entries, rows * columns)
        scales = self.scales.astype(mx.float32)[:, None, None]
        in_features = self.shape[1]
        step = pieces(rows * in_features)
        parts = []
        for start in range(0, self.codes.shape[0], step):
            codes = self.codes[start : start + step].astype(mx.uint32)
            sums = mx.zeros((*codes.shape[:2], rows * columns))
            for number, table in enumerate(tables):
                sums = sums + mx.take(table, codes[..., number], axis=0)
            # The product of two half floats is exact in float32.
            found = (rounded(sums, self.dtype) * scales[start : start + step]).astype(self.dtype).astype(dtype)
            blocks = found.reshape(*codes.shape[:2], rows, columns)
            parts.append(blocks.swapaxes(1, 2).reshape(-1, in_features))
        return mx.concatenate(parts) if len(parts) > 1 else parts[0]

    def native(self, params_dtype: mx.Dtype | None = None) -> NativeWeights:
        """UnsupportedFormat ``unsupported-affine``: MLX has no packed mode in which codes are looked up in tables."""
        raise no_packed_form("MLX has no packed form for codes that are looked up in codebooks")
