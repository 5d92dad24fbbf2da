"""Several matrices that a model holds as one: rows below one another, or a stack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import mlx.core as mx

from ..errors import UnsupportedFormat
from .decoded import Weight, planned
from .native import NativeWeights


@dataclass(frozen=True)
class Joined:
    """Matrices with the same inputs, as ``[sum of out, in]``, or stacked as ``[parts, out, in]``.

    Nothing is computed: each row keeps its codes, scales and roundings.

    Attributes:
        parts: two or more, of one dtype; those of a stack have one shape.
        stacked: whether they are.
    """

    parts: tuple[Weight, ...]
    stacked: bool

    @property
    def shape(self) -> tuple[int, ...]:
        out, inputs = self.parts[0].shape
        return (len(self.parts), out, inputs) if self.stacked else (sum(part.shape[0] for part in self.parts), inputs)

    @property
    def dtype(self) -> mx.Dtype:
        return self.parts[0].dtype

    @property
    def act_order(self) -> bool:
        return any(part.act_order for part in self.parts)

    def dense(self, dtype: mx.Dtype | None = None) -> mx.array:
        """The matrices as ``dtype``, each by its own :meth:`Weight.dense`."""
        return self._whole([part.dense(dtype) for part in self.parts])

    def native(self, params_dtype: mx.Dtype | None = None) -> NativeWeights:
        """MLX's packed form of all of them; UnsupportedFormat ``unsupported-affine`` where a part has none, where they
        differ in it, or in the order of their inputs."""
        return self._joined(lambda part: part.native(params_dtype))

    def planned(self, params_dtype: mx.Dtype | None = None) -> NativeWeights:
        """As :meth:`native`; reads no codes."""
        if params_dtype is not None:
            return self.native(params_dtype)
        return self._joined(planned)

    def _joined(self, form: Callable[[Weight], NativeWeights]) -> NativeWeights:
        found = [form(part) for part in self.parts]
        first = found[0]
        alike = {(one.mode, one.bits, one.group_size, one.scales.dtype, one.permutation is None) for one in found}
        if len(alike) > 1:
            raise UnsupportedFormat("unsupported-affine", "parts of one matrix are packed in different ways")
        orders = [one.permutation for one in found if one.permutation is not None]
        if orders and self.stacked:
            raise UnsupportedFormat("unsupported-affine", "act-order, and each matrix of a stack has its own")
        if not all(mx.array_equal(orders[0], order).item() for order in orders[1:]):
            raise UnsupportedFormat("unsupported-affine", "act-order, and parts of one matrix differ in it")
        return replace(
            first,
            weight=self._whole([one.weight for one in found]),
            scales=self._whole([one.scales for one in found]),
            biases=None
            if first.biases is None
            else self._whole([one.biases for one in found if one.biases is not None]),
        )

    def _whole(self, arrays: list[mx.array]) -> mx.array:
        return mx.stack(arrays) if self.stacked else mx.concatenate(arrays)
