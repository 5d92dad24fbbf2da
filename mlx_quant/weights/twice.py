"""Signed bytes with a scale for each output, and a factor for all: two products, each of them rounded."""

from __future__ import annotations

from dataclasses import dataclass

import mlx.core as mx

from ..errors import UnsupportedFormat
from .host import in_memory
from .lookup import lists, look_up, pays
from .native import NativeWeights
from .pieces import pieces


@dataclass(frozen=True)
class Twice:
    """``W[o, i] = RN(RN32(RN32(q[o, i] * s[o]) * factor))``.

    Attributes:
        codes: int8 [out, in].
        scales: float32 [out], all finite.
        factor: rounded to float32 before it multiplies.
        dtype: the one that the format defines.
    """

    codes: mx.array
    scales: mx.array
    factor: float
    dtype: mx.Dtype

    @property
    def shape(self) -> tuple[int, int]:
        return self.codes.shape[0], self.codes.shape[1]

    @property
    def act_order(self) -> bool:
        return False

    def dense(self, dtype: mx.Dtype | None = None) -> mx.array:
        """``W`` [out, in] as ``dtype``; at once on a CPU where that pays, else lazy."""
        dtype = dtype or self.dtype
        factor = mx.array(self.factor, dtype=mx.float32)
        (out, in_features), octets = self.shape, self.codes.view(mx.uint8)
        if pays(in_features, 1 << 8):
            known = mx.arange(1 << 8, dtype=mx.uint8).view(mx.int8).astype(mx.float32)
            mx.eval(octets, self.scales, known)
            memory = in_memory(octets)
            values = lists(out, 1 << 8, dtype, lambda rows: (known * self.scales[rows, None] * factor).astype(dtype))
            return look_up(self.shape, dtype, lambda rows: memory[rows], values, 1 << 8).whole()
        step = pieces(in_features)
        parts = []
        for start in range(0, out, step):
            rows = slice(start, start + step)
            products = self.codes[rows].astype(mx.float32) * self.scales[rows, None]
            parts.append((products * factor).astype(dtype))
        return mx.concatenate(parts) if len(parts) > 1 else parts[0]

    def native(self, params_dtype: mx.Dtype | None = None) -> NativeWeights:
        """UnsupportedFormat ``unsupported-affine``: MLX's affine mode has one product, and no scale gives the same."""
        raise UnsupportedFormat(
            "unsupported-affine",
            "MLX's affine form multiplies once, and here two products are rounded; decode to dense",
        )
