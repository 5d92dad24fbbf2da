"""Integer codes with a scale and an offset a group, both floats: ``W[o, i] = RN(q[o, i] * s[g, o] + b[g, o])``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import mlx.core as mx
import numpy as np

from ..errors import UnsupportedFormat
from .bits import unpack
from .host import in_memory
from .lookup import look_up
from .native import AFFINE_GROUP_SIZES, AffineWeights
from .rounding import bits_of


@dataclass(frozen=True)
class Offset:
    """Codes, scales and offsets of one matrix ``[out, in]`` in consecutive groups.

    The sum of product and offset is rounded once, as a fused multiply-add does it: an offset that was rounded before
    stays as it is, and is not taken for a zero point.

    Attributes:
        words: uint32 [out, in * bits / 32], the codes as a little-endian bit stream along ``in``.
        scales, offsets: [groups, out], float16, bfloat16 or float32, all finite.
        bits: width of a code, 1 to 8.
        group_size: input channels a group.
    """

    words: mx.array
    scales: mx.array
    offsets: mx.array
    bits: int
    in_features: int
    group_size: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.words.shape[0], self.in_features

    @property
    def dtype(self) -> mx.Dtype:
        return self.scales.dtype

    @property
    def act_order(self) -> bool:
        return False

    def codes(self) -> mx.array:
        """uint8 [out, in], lazy."""
        return unpack(self.words, self.bits, self.in_features)

    def dense(self, dtype: mx.Dtype | None = None) -> mx.array:
        """``W`` [out, in] as ``dtype`` (default: dtype of the scales), rounded once, to nearest even.

        What each code means in each group is listed first, by the CPU: sums need more digits than MLX's floats have.
        """
        dtype = dtype or self.dtype
        scales, offsets = (_doubles(array.T) for array in (self.scales, self.offsets))
        known = np.arange(1 << self.bits)

        def listed(rows: slice) -> np.ndarray:
            sums = _rounded_to_odd(known, scales[rows, :, None], offsets[rows, :, None])
            return bits_of(sums, dtype).reshape(len(sums), -1)

        return self._looked_up(dtype, listed)

    def _looked_up(self, dtype: mx.Dtype, listed: Callable[[slice], np.ndarray]) -> mx.array:
        mx.eval(self.words)
        words, levels = in_memory(self.words), 1 << self.bits
        first = np.arange(self.in_features) // self.group_size * levels
        codes, width = (lambda rows: words[rows]), self.scales.shape[0] * levels
        return look_up(self.shape, dtype, codes, listed, width, bits=self.bits, first=first, levels=levels).whole()

    def native(self, params_dtype: mx.Dtype | None = None) -> AffineWeights:
        """MLX's affine form: codes, scales and offsets unchanged, unless ``params_dtype`` asks for another dtype.

        Raises UnsupportedFormat ``unsupported-affine`` for groups that MLX cannot express.
        """
        target = next((size for size in AFFINE_GROUP_SIZES if self.group_size % size == 0), None)
        if target is None:
            raise UnsupportedFormat(
                "unsupported-affine",
                f"groups of {self.group_size} input channels do not divide into MLX's {AFFINE_GROUP_SIZES}; "
                "decode to dense",
            )
        repeat, dtype = self.group_size // target, params_dtype or self.dtype
        scales, biases = (
            mx.contiguous(mx.repeat(array.T.astype(dtype), repeat, axis=1)) for array in (self.scales, self.offsets)
        )
        return AffineWeights(self.words, scales, biases, target, self.bits)


def _doubles(array: mx.array) -> np.ndarray:
    wide = mx.contiguous(array.astype(mx.float32))
    mx.eval(wide)
    return in_memory(wide).astype(np.float64)


def _rounded_to_odd(codes: np.ndarray, scales: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """``codes * scales + offsets`` in float64, where an inexact sum ends in an odd bit: one further rounding to at most
    51 bits then equals rounding once (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008)."""
    products = codes * scales  # exact: 8 and 24 bits
    sums = products + offsets
    part = sums - products
    error = (products - (sums - part)) + (offsets - part)
    bits = sums.view(np.int64)
    outwards = np.where((error > 0) == (sums > 0), 1, -1)
    return np.where((error != 0) & (bits % 2 == 0), bits + outwards, bits).view(np.float64)
