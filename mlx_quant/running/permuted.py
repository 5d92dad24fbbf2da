"""Packed linear layers of act-order modules: their columns are sorted by group, and their inputs follow as they run.

To everything else such a layer is the one that it stands for, with inputs and outputs in the order of the original. So
adapters that were trained on it fit the dense layer, and the other way about.
"""

from __future__ import annotations

from typing import Any

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx.nn.layers.linear import Linear
from mlx.nn.layers.quantized import QuantizedLinear

from ..weights.native import PERMUTATION

# No mode of MLX: whoever reads weight and scales past the layer, as if columns were inputs, is stopped by it.
MODE = "affine, inputs permuted"


class PermutedLinear(QuantizedLinear):
    """``linear(x[..., permutation])``.

    Args:
        linear: affine; column ``j`` is input ``permutation[j]``.
        permutation: int32 [in], each input once; a parameter, and frozen as the others are.
    """

    def __init__(self, linear: QuantizedLinear, permutation: mx.array) -> None:
        Module.__init__(self)  # type: ignore[no-untyped-call]
        self.group_size, self.bits, self.mode = linear.group_size, linear.bits, MODE
        self.weight, self.scales, self.biases = linear.weight, linear.scales, linear.biases
        if "bias" in linear:
            self.bias = linear.bias
        self.permutation = permutation
        self.freeze()

    def __call__(self, x: mx.array) -> mx.array:
        y = mx.quantized_matmul(
            mx.take(x, self[PERMUTATION], axis=-1),
            self["weight"],
            scales=self["scales"],
            biases=self["biases"],
            transpose=True,
            group_size=self.group_size,
            bits=self.bits,
            mode="affine",
        )
        return y + self["bias"] if "bias" in self else y

    def sorted_weight(self) -> mx.array:
        """[out, in], columns in the order of their groups."""
        return mx.dequantize(
            self["weight"], self["scales"], self["biases"], group_size=self.group_size, bits=self.bits, mode="affine"
        )

    def dense(self) -> Linear:
        """The layer with its weight dequantised, columns in the order of its inputs."""
        out, in_features = self["scales"].shape[0], self[PERMUTATION].shape[0]
        linear = Linear(in_features, out, bias="bias" in self)
        linear.weight = mx.take(self.sorted_weight(), mx.argsort(self[PERMUTATION]), axis=1)
        if "bias" in self:
            linear.bias = self["bias"]
        return linear

    def requantized(self, sorted_weight: mx.array) -> PermutedLinear:
        """This layer with another weight, quantised anew in the same groups."""
        linear = Linear(sorted_weight.shape[1], sorted_weight.shape[0], bias=False)
        linear.weight = sorted_weight
        if "bias" in self:
            linear.bias = self["bias"]
        packed = QuantizedLinear.from_linear(linear, self.group_size, self.bits, mode="affine")
        return StandingPermutedLinear(packed, self[PERMUTATION])

    def to_lora(self, r: int = 8, dropout: float = 0.0, scale: float = 20.0) -> Any:
        """This layer with an adapter; mlx-lm's tuner asks for it by this name, and for DoRA ends at the mode."""
        from .adapters import PermutedLoRALinear

        return PermutedLoRALinear.around(PermutedLinear(self, self[PERMUTATION]), r=r, dropout=dropout, scale=scale)


class StandingPermutedLinear(PermutedLinear):
    """One that stands in a model by itself. ``mlx_lm.fuse`` asks all modules to fuse, and one inside an adapter must
    not answer for it."""

    def fuse(self, dequantize: bool = False) -> Module:
        """Itself, or the dense layer: ``mlx_lm.fuse --dequantize`` would read the columns as they stand."""
        return self.dense() if dequantize else self
