"""Integer codes whose weights have a dtype of their own: the product is rounded to float32 first, then to that."""

from __future__ import annotations

from dataclasses import dataclass

import mlx.core as mx

from .integer import Integer
from .native import AffineWeights


@dataclass(frozen=True)
class Stepped:
    """``W[o, i] = RN(RN32(s[g[i], o] * (q[o, i] - z[g[i], o])))``.

    Attributes:
        integer: codes, zero points and scales.
        dtype: the one that the format defines; the scales may have another.
    """

    integer: Integer
    dtype: mx.Dtype

    @property
    def shape(self) -> tuple[int, int]:
        return self.integer.shape

    @property
    def act_order(self) -> bool:
        return self.integer.act_order

    def codes(self) -> mx.array:
        """uint8 [out, in], lazy."""
        return self.integer.codes()

    def dense(self, dtype: mx.Dtype | None = None) -> mx.array:
        """``W`` [out, in] as ``dtype``; on the CPU decoded before this returns, as :meth:`Integer.dense`."""
        dtype = dtype or self.dtype
        if self.integer.dtype != mx.float32:
            # Of scales with 16 bits float32 holds every product, so there is one rounding only.
            return self.integer.dense(dtype)
        return self.integer.dense(mx.float32).astype(dtype)

    def planned(self, params_dtype: mx.Dtype | None = None) -> AffineWeights:
        return self.integer.planned(params_dtype)

    def native(self, params_dtype: mx.Dtype | None = None) -> AffineWeights:
        """MLX's affine form, as :meth:`Integer.native`: ``params_dtype`` None keeps the dtype of the scales."""
        return self.integer.native(params_dtype)
