"""Codes times a scale, less a float: two steps, each of them rounded."""

from __future__ import annotations

from dataclasses import dataclass

import mlx.core as mx

from .rounding import rounded
from .shifted import Shifted


@dataclass(frozen=True)
class Lowered(Shifted):
    """``W = RN(RN(q * s) - z)``, both roundings in the dtype of the scales; else as :class:`Shifted`.

    The biases of the packed form are ``-z``, exact in any dtype that holds them.
    """

    def _values(self, codes: mx.array, scales: mx.array, zeros: mx.array) -> mx.array:
        return rounded(rounded(codes * scales, self.dtype) - zeros, self.dtype)

    def _biases(self, scales: mx.array, zeros: mx.array) -> mx.array:
        return -zeros
