"""mlx-lm's adapters around layers whose inputs are permuted."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
from mlx.nn.layers.quantized import QuantizedLinear
from mlx_lm.tuner.lora import LoRALinear

from ..weights.native import PERMUTATION


class PermutedLoRALinear(LoRALinear):
    """mlx-lm's, but for fusing: an adapter has the inputs in their own order, and the base has them sorted."""

    @classmethod
    def around(cls, linear: QuantizedLinear, *, r: int, dropout: float, scale: float) -> PermutedLoRALinear:
        in_features, out = linear[PERMUTATION].shape[0], linear["scales"].shape[0]
        """An adapter of the tuner's settings on a layer whose inputs are permuted."""
        adapted = cls(in_features, out, r=r, dropout=dropout, scale=scale)
        adapted.linear = linear
        return adapted

    def fuse(self, dequantize: bool = False) -> Any:
        """One layer that does both: dense, or packed anew in the groups of the base."""
        base: Any = self.linear
        delta = (self.scale * self.lora_b.T) @ self.lora_a.T
        if dequantize:
            dense = base.dense()
            dense.weight = dense.weight + delta.astype(dense.weight.dtype)
            return dense
        weight = base.sorted_weight()
        return base.requantized(weight + mx.take(delta, base[PERMUTATION], axis=1).astype(weight.dtype))
