"""What every decoded module is, whatever its packing: a matrix of which the numbers are known."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol, runtime_checkable

import mlx.core as mx

from .native import NativeWeights


class Weight(Protocol):
    """A matrix [out, in] as its format means it; lazy until its arrays are evaluated."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Output and input features; of a stack, the number of matrices before them."""
        ...

    @property
    def dtype(self) -> mx.Dtype:
        """The dtype that the format defines, which :meth:`dense` has unless another is asked for."""
        ...

    @property
    def act_order(self) -> bool:
        """Whether input channels stand in another order than their groups."""
        ...

    def dense(self, dtype: mx.Dtype | None = None) -> mx.array:
        """The matrix as ``dtype``, by the format's own roundings."""
        ...

    def native(self, params_dtype: mx.Dtype | None = None) -> NativeWeights:
        """MLX's packed form with the same codes; UnsupportedFormat ``unsupported-affine`` where none holds them.

        ``params_dtype`` is the dtype of float parameters; None keeps the stored one. Refusing never reads the codes.
        """
        ...


@runtime_checkable
class Planned(Protocol):
    """A weight whose :meth:`Weight.native` works at once, and that can say beforehand what would come of it."""

    def planned(self, params_dtype: mx.Dtype | None = None) -> NativeWeights:
        """As :meth:`Weight.native`, and lazy: for its shapes, dtypes and refusals, for which no codes are read."""
        ...


@runtime_checkable
class Begun(Protocol):
    """A weight that other threads begin to decode, while whoever wants it looks at the next one."""

    def begin_dense(self, dtype: mx.Dtype | None = None) -> Callable[[], mx.array]:
        """What :meth:`Weight.dense` gives, when it is asked for."""
        ...

    def begin_native(self, params_dtype: mx.Dtype | None = None) -> Callable[[], NativeWeights]:
        """What :meth:`Weight.native` gives, when it is asked for."""
        ...


def begin_dense(weight: Weight, dtype: mx.Dtype | None = None) -> Callable[[], mx.array]:
    """What ``weight.dense(dtype)`` gives, begun where that is possible."""
    return weight.begin_dense(dtype) if isinstance(weight, Begun) else partial(weight.dense, dtype)


def begin_native(weight: Weight, params_dtype: mx.Dtype | None = None) -> Callable[[], NativeWeights]:
    """What ``weight.native(params_dtype)`` gives, begun where that is possible."""
    return weight.begin_native(params_dtype) if isinstance(weight, Begun) else partial(weight.native, params_dtype)


def planned(weight: Weight) -> NativeWeights:
    """What ``weight.native()`` will be, without reading codes; the same refusals."""
    return weight.planned() if isinstance(weight, Planned) else weight.native()
