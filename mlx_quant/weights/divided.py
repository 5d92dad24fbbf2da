"""A matrix whose inputs are divided before they meet it: each divisor is moved into the column of its input."""

from __future__ import annotations

from dataclasses import dataclass

import mlx.core as mx

from ..errors import UnsupportedFormat
from .decoded import Weight
from .native import NativeWeights


@dataclass(frozen=True)
class Divided:
    """``W[o, i] = RN(RN32(RN32(M[o, i]) / c[i]))``, of which ``x W`` is what ``(x / c) M`` is.

    Attributes:
        matrix: what the divided inputs meet.
        columns: [in], float16, bfloat16 or float32, all finite, none zero.
    """

    matrix: Weight
    columns: mx.array

    @property
    def shape(self) -> tuple[int, ...]:
        return self.matrix.shape

    @property
    def dtype(self) -> mx.Dtype:
        return self.matrix.dtype

    @property
    def act_order(self) -> bool:
        return self.matrix.act_order

    def dense(self, dtype: mx.Dtype | None = None) -> mx.array:
        """``W`` [out, in] as ``dtype``: a product and a quotient in float32, each of them rounded, then one cast."""
        quotients = self.matrix.dense(mx.float32) / self.columns.astype(mx.float32)
        return quotients.astype(dtype or self.dtype)

    def native(self, params_dtype: mx.Dtype | None = None) -> NativeWeights:
        """UnsupportedFormat ``unsupported-affine``: in MLX's affine mode the inputs of a group share a scale."""
        raise UnsupportedFormat(
            "unsupported-affine",
            "every input has a divisor of its own, and in MLX's affine form those of a group share a scale; decode to "
            "dense",
        )
