"""The one intermediate representation, and the arithmetic that every integer-affine format shares.

A weight is ``W[o, i] = s[g[i], o] * (q[o, i] - z[g[i], o])`` with integer codes ``q`` and zero points ``z``. A format
module only rearranges bits until they stand here; what follows is written once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mlx.core as mx

from .bits import pack, unpack
from .errors import UnsupportedFormat

# Rows are decoded in blocks of about this many weights on the CPU: float32 temporaries then stay in cache.
_BLOCK_WEIGHTS = 1 << 19
AFFINE_GROUP_SIZES = (128, 64, 32)


@dataclass(frozen=True)
class AffineWeights:
    """MLX's packed affine form of one matrix: ``W = scales * q + biases`` per group along the input axis.

    Attributes:
        weight: uint32 [out, in * bits // 32].
        scales, biases: [out, in // group_size].
        group_size, bits: as ``mx.dequantize`` takes them.
        permutation: None, or int32 [in]; column ``j`` of the stored matrix is input channel ``permutation[j]``, so a
            user computes ``quantized_matmul(x[..., permutation], ...)``.
    """

    weight: mx.array
    scales: mx.array
    biases: mx.array
    group_size: int
    bits: int
    permutation: mx.array | None = None


@dataclass(frozen=True)
class PackedWeights:
    """Codes, zero points, scales and groups of one matrix ``[out, in]``.

    Attributes:
        words: uint32 [out, ceil(in * bits / 32)], the codes as a little-endian bit stream along ``in``.
        zeros: uint8 [groups, out], values 0 to ``2**bits - 1``.
        scales: [groups, out], float16, bfloat16 or float32, all finite.
        group_size: input channels a group, when ``group_index`` is None.
        group_index: None for consecutive groups of ``group_size``, else int32 [in] with values in [0, groups).
    """

    words: mx.array
    zeros: mx.array
    scales: mx.array
    bits: int
    in_features: int
    group_size: int
    group_index: mx.array | None = None

    @property
    def out_features(self) -> int:
        return self.words.shape[0]

    def codes(self) -> mx.array:
        """uint8 [out, in]."""
        return unpack(self.words, self.bits)[:, : self.in_features]

    def dense(self, dtype: mx.Dtype | None = None) -> mx.array:
        """``W`` [out, in] as ``dtype`` (default: dtype of the scales), rounded once, to nearest even.

        ``q - z`` has at most 9 bits and a float16 or bfloat16 scale at most 11, so their float32 product is exact and
        the cast is the only rounding. A float32 scale can make the product inexact; :func:`_round_to_odd` keeps the
        later cast to a narrower type correct all the same.
        """
        scales, zeros = self.scales.astype(mx.float32), self.zeros.view(mx.int8)
        plan = (self.bits, self.in_features, self.group_size, self.scales.dtype, dtype or self.scales.dtype)
        if mx.default_device() == mx.gpu:
            return _fused(*plan)(self.words, scales, zeros, self.group_index)
        # mx.compile needs a C++ compiler on the CPU, which a user may lack; small blocks come close to its speed.
        step = max(1, _BLOCK_WEIGHTS // self.in_features)
        parts = (slice(row, row + step) for row in range(0, self.out_features, step))
        blocks = [_decode(self.words[p], scales[:, p], zeros[:, p], self.group_index, *plan) for p in parts]
        return mx.concatenate(blocks) if len(blocks) > 1 else blocks[0]

    def affine(self, params_dtype: mx.Dtype | None = None) -> AffineWeights:
        """The packed affine form; codes and scales unchanged, ``biases = RN(-z * s)`` in ``params_dtype``.

        ``params_dtype`` None keeps the dtype of the scales: what ``mlx_lm`` runs fastest, exact for symmetric 4-bit
        weights (z = 8), and off by at most half a unit in the last place of ``z * s`` elsewhere. ``mx.float32``
        makes ``scales * q + biases`` exact in float32 for float16 and bfloat16 scales.

        Raises UnsupportedFormat ``unsupported-affine`` for groups that MLX cannot express.
        """
        dtype = params_dtype or self.scales.dtype
        words, permutation, group_size = self.words, None, self.group_size
        if self.group_index is not None:
            permutation = mx.argsort(self.group_index)
            group_size = self._equal_group_size(permutation)
            words = pack(mx.take(self.codes(), permutation, axis=1), self.bits)
            permutation = permutation.astype(mx.int32)
        target = next((size for size in AFFINE_GROUP_SIZES if group_size % size == 0), None)
        if target is None:
            raise UnsupportedFormat(
                "unsupported-affine",
                f"groups of {group_size} input channels do not divide into MLX's {AFFINE_GROUP_SIZES}; decode to dense",
            )
        scales = self.scales.T.astype(mx.float32)
        biases = -(self.zeros.T.astype(mx.float32) * scales)
        repeat = group_size // target
        params = [mx.contiguous(mx.repeat(p.astype(dtype), repeat, axis=1)) for p in (scales, biases)]
        return AffineWeights(words, params[0], params[1], target, self.bits, permutation)

    def _equal_group_size(self, permutation: mx.array) -> int:
        assert self.group_index is not None
        groups = self.scales.shape[0]
        size, rest = divmod(self.in_features, groups)
        expected = mx.repeat(mx.arange(groups, dtype=mx.int32), size)
        if rest or not mx.array_equal(self.group_index[permutation], expected).item():
            raise UnsupportedFormat(
                "unsupported-affine", "g_idx gives its groups unequal sizes, which MLX cannot express; decode to dense"
            )
        return size


def _decode(
    words: mx.array,
    scales: mx.array,
    zeros: mx.array,
    group_index: mx.array | None,
    bits: int,
    in_features: int,
    group_size: int,
    scales_dtype: mx.Dtype,
    dtype: mx.Dtype,
) -> mx.array:
    """Rows of ``W``: words [rows, n], float32 scales and int8 zeros [groups, rows] to [rows, in] as ``dtype``."""
    codes = unpack(words, bits)[:, :in_features]
    if group_index is None:
        codes = codes.reshape(codes.shape[0], -1, group_size)
        scales, zeros = mx.contiguous(scales.T)[:, :, None], mx.contiguous(zeros.T)[:, :, None]
    else:
        # Whole rows are gathered, then transposed: many times faster on the CPU than gathering single columns.
        scales, zeros = mx.take(scales, group_index, axis=0).T, mx.take(zeros, group_index, axis=0).T
    if bits == 8:
        wide = codes.astype(mx.int16) - zeros.view(mx.uint8).astype(mx.int16)
    else:
        wide = codes.view(mx.int8) - zeros
    difference = wide.astype(mx.float32)
    inexact = scales_dtype == mx.float32 and dtype != mx.float32
    product = _round_to_odd(scales, difference) if inexact else scales * difference
    return product.astype(dtype).reshape(-1, in_features)


@functools.cache
def _fused(*plan: Any) -> Callable[..., mx.array]:
    return mx.compile(lambda words, scales, zeros, group_index: _decode(words, scales, zeros, group_index, *plan))


def _round_to_odd(scales: mx.array, difference: mx.array) -> mx.array:
    """``scales * difference`` in float32, rounded to odd, so that one further rounding equals rounding once.

    ``scales`` is split into a part of at most 12 bits and the rest; times a 9-bit integer both are exact, and the
    rounding error of their sum is recovered exactly (Dekker's fast two-sum). Where it is not zero, the float32
    neighbour with an odd last bit is taken (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008).
    """
    high = (scales.view(mx.uint32) & mx.array(0xFFFFF000, dtype=mx.uint32)).view(mx.float32)
    big, small = high * difference, (scales - high) * difference
    product = scales * difference  # the same number as big + small, which would lose the sign of a zero
    error = small - (product - big)
    bits = product.view(mx.int32)
    # One step towards the exact value changes the magnitude up when the error has the sign of the product.
    step = mx.where((error > 0) == (product > 0), 1, -1)
    inexact = (error != 0) & ((bits & 1) == 0) & mx.isfinite(product)
    return mx.where(inexact, bits + step, bits).view(mx.float32)
