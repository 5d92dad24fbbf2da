"""A matrix whose inputs are scaled before they are multiplied: the scale of each input is moved into its column."""

from __future__ import annotations

from dataclasses import dataclass

import mlx.core as mx

from ..errors import UnsupportedFormat
from .integer import Integer
from .native import NativeWeights


@dataclass(frozen=True)
class Smoothed:
    """``W[o, i] = RN(RN32(RN32(s * (q - z)) * c[i]))``, of which ``x W`` is what ``(x * c) (s * (q - z))`` is.

    Attributes:
        matrix: codes, zero points and scales of the matrix that the scaled inputs meet.
        columns: [in], float16, bfloat16 or float32, all finite.
    """

    matrix: Integer
    columns: mx.array

    @property
    def shape(self) -> tuple[int, int]:
        return self.matrix.shape

    @property
    def dtype(self) -> mx.Dtype:
        return self.matrix.dtype

    @property
    def act_order(self) -> bool:
        return False

    def dense(self, dtype: mx.Dtype | None = None) -> mx.array:
        """``W`` [out, in] as ``dtype``: two products in float32, each of them rounded, then one cast."""
        products = self.matrix.dense(mx.float32) * self.columns.astype(mx.float32)
        return products.astype(dtype or self.dtype)

    def native(self, params_dtype: mx.Dtype | None = None) -> NativeWeights:
        """UnsupportedFormat ``unsupported-affine``: in MLX's affine mode the inputs of a group share a scale."""
        raise UnsupportedFormat(
            "unsupported-affine",
            "every input has a scale of its own, and in MLX's affine form those of a group share one; decode to dense",
        )
