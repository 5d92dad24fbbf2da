"""Integer codes whose scales are rounded to the dtype that is asked for, before they multiply."""

from __future__ import annotations

from dataclasses import dataclass, replace

import mlx.core as mx

from .integer import Integer
from .native import AffineWeights


@dataclass(frozen=True)
class Cast:
    """``W[o, i] = RN(RN(s[o]) * (q[o, i] - z))``, both roundings to the dtype that is asked for.

    A scale beyond that dtype is infinite in it, and then so are its weights, but for those of 0.

    Attributes:
        integer: codes, zero points and scales.
    """

    integer: Integer

    @property
    def shape(self) -> tuple[int, int]:
        return self.integer.shape

    @property
    def dtype(self) -> mx.Dtype:
        return self.integer.dtype

    @property
    def act_order(self) -> bool:
        return self.integer.act_order

    def codes(self) -> mx.array:
        """uint8 [out, in], lazy."""
        return self.integer.codes()

    def dense(self, dtype: mx.Dtype | None = None) -> mx.array:
        """``W`` [out, in] as ``dtype`` (default: that of the scales), as :meth:`Integer.dense`."""
        dtype = dtype or self.dtype
        scales = self.integer.scales.astype(dtype)
        beyond = mx.isinf(scales)
        if not beyond.any().item():
            return replace(self.integer, scales=scales).dense(dtype)
        kept = replace(self.integer, scales=mx.where(beyond, mx.zeros_like(scales), scales)).dense(dtype)
        exact = self.integer.dense(mx.float32)
        infinite = mx.where(exact == 0, exact, mx.sign(exact) * mx.inf).astype(dtype)
        return mx.where(beyond.T, infinite, kept)

    def planned(self, params_dtype: mx.Dtype | None = None) -> AffineWeights:
        return self.integer.planned(params_dtype)

    def native(self, params_dtype: mx.Dtype | None = None) -> AffineWeights:
        """MLX's affine form, as :meth:`Integer.native`: ``params_dtype`` None keeps the dtype of the scales."""
        return self.integer.native(params_dtype)
