"""Codes of two bits in four planes of outputs, counted from -1, and one scale that multiplies them or divides them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import mlx.core as mx
import numpy as np

from ..errors import UnsupportedFormat
from . import fields
from .bits import pack
from .host import in_memory
from .integer import Integer
from .lookup import look_up, pays
from .native import AffineWeights
from .rounding import narrowed

_BITS, _PLANES = 2, 4
_WORD = 16  # codes
# What the four codes stand for, before the scale.
_VALUES = np.arange(4) - 1.0


@dataclass(frozen=True)
class Planes:
    """``W[o, i] = RN(v * s)``, or ``RN(v / s)``, one rounding to the dtype that is asked for; ``v`` is -1, 0, 1 or 2.

    Attributes:
        stored: uint8 [out / 4, in]; bits 2p and up of byte [r, i] are the code of input ``i`` of output
            ``p * out / 4 + r``.
        scale: one element, float16, bfloat16 or float32, finite; not zero where it divides.
        divides: whether it does.
    """

    stored: mx.array
    scale: mx.array
    divides: bool

    @property
    def shape(self) -> tuple[int, int]:
        return self.stored.shape[0] * _PLANES, self.stored.shape[1]

    @property
    def dtype(self) -> mx.Dtype:
        return self.scale.dtype

    @property
    def act_order(self) -> bool:
        return False

    def codes(self) -> mx.array:
        """uint8 [out, in], lazy."""
        return mx.concatenate(self._planes())

    def dense(self, dtype: mx.Dtype | None = None) -> mx.array:
        """``W`` [out, in] as ``dtype`` (default: that of the scale); at once on a CPU where that pays, else lazy."""
        dtype = dtype or self.dtype
        values = self._values(dtype)
        if pays(self.stored.size, len(_VALUES)):
            return self._looked_up(values, dtype)
        return mx.concatenate([mx.take(values, plane) for plane in self._planes()])

    def _looked_up(self, values: mx.array, dtype: mx.Dtype) -> mx.array:
        mx.eval(self.stored, values)
        octets, one = in_memory(self.stored), in_memory(values).view(f"u{dtype.size}").reshape(1, -1)
        shifts = range(0, _BITS * _PLANES, _BITS)

        def codes(rows: slice) -> np.ndarray:
            return fields.of_planes(octets, shifts, _BITS, rows)

        return look_up(self.shape, dtype, codes, lambda _: one, one.size, height=self.shape[0]).whole()

    def native(self, params_dtype: mx.Dtype | None = None) -> AffineWeights:
        """MLX's affine form: the codes, ``RN(s)`` or ``RN(1 / s)`` in ``params_dtype``, and that negated, exact.

        ``params_dtype`` None is the dtype of the scale. Raises UnsupportedFormat ``unsupported-affine`` where the
        quotient is beyond the dtype, and for widths that are no multiple of MLX's groups.
        """
        factor = self._values(params_dtype or self.dtype)[2]
        if not mx.isfinite(factor).item():
            raise UnsupportedFormat(
                "unsupported-affine", f"one over {self.scale.item()} is beyond {factor.dtype}; decode to dense"
            )
        out, in_features = self.shape
        codes = mx.pad(self.codes(), [(0, 0), (0, -in_features % _WORD)])
        zeros = mx.ones((1, out), dtype=mx.uint8)
        scales = mx.broadcast_to(factor.reshape(1, 1), (1, out))
        return Integer(pack(codes, _BITS), zeros, scales, _BITS, in_features, in_features).native()

    def _planes(self) -> list[mx.array]:
        return [(self.stored >> (_BITS * plane)) & 3 for plane in range(_PLANES)]

    def _values(self, dtype: mx.Dtype) -> mx.array:
        """[4]. float64 holds what is to be rounded, or a quotient so near to it that the rounding is the same."""
        scale = cast(float, self.scale.astype(mx.float32).item())
        return narrowed(_VALUES / scale if self.divides else _VALUES * scale, dtype)
