"""Integer codes with a scale and an integer zero point a group: ``W[o, i] = s[g[i], o] * (q[o, i] - z[g[i], o])``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mlx.core as mx

from ..errors import UnsupportedFormat
from .bits import pack, unpack
from .native import AFFINE_BITS, AFFINE_GROUP_SIZES, AffineWeights
from .rounding import scaled

# Rows are decoded in blocks of about this many weights on the CPU: float32 temporaries then stay in cache.
_BLOCK_WEIGHTS = 1 << 19


@dataclass(frozen=True)
class Integer:
    """Codes, zero points, scales and groups of one matrix ``[out, in]``.

    Attributes:
        words: uint32 [out, ceil(in * bits / 32)], the codes as a little-endian bit stream along ``in``.
        zeros: uint8 [groups, out], values 0 to ``2**bits - 1``.
        scales: [groups, out], float16, bfloat16 or float32, all finite.
        bits: width of a code, 1 to 8.
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
    def shape(self) -> tuple[int, int]:
        return self.words.shape[0], self.in_features

    @property
    def dtype(self) -> mx.Dtype:
        return self.scales.dtype

    @property
    def act_order(self) -> bool:
        if self.group_index is None:
            return False
        return not mx.all(self.group_index[1:] >= self.group_index[:-1]).item()

    def codes(self) -> mx.array:
        """uint8 [out, in]."""
        return unpack(self.words, self.bits, self.in_features)

    def dense(self, dtype: mx.Dtype | None = None) -> mx.array:
        """``W`` [out, in] as ``dtype`` (default: dtype of the scales), rounded once, to nearest even."""
        scales, zeros = self.scales.astype(mx.float32), self.zeros.view(mx.int8)
        plan = (self.bits, self.in_features, self.group_size, self.dtype, dtype or self.dtype)
        if mx.default_device() == mx.gpu:
            return _fused(*plan)(self.words, scales, zeros, self.group_index)
        # mx.compile needs a C++ compiler on the CPU, which a user may lack; small blocks come close to its speed.
        rows, in_features = self.shape
        step = max(1, _BLOCK_WEIGHTS // in_features)
        parts = (slice(row, row + step) for row in range(0, rows, step))
        blocks = [_decode(self.words[p], scales[:, p], zeros[:, p], self.group_index, *plan) for p in parts]
        return mx.concatenate(blocks) if len(blocks) > 1 else blocks[0]

    def native(self, params_dtype: mx.Dtype | None = None) -> AffineWeights:
        """MLX's affine form; codes and scales unchanged, ``biases = RN(-z * s)`` in ``params_dtype``.

        ``params_dtype`` None keeps the dtype of the scales: what ``mlx_lm`` runs fastest, exact for symmetric weights
        (z a power of two), and off by at most half a unit in the last place of ``z * s`` elsewhere. ``mx.float32``
        makes ``scales * q + biases`` exact in float32 for float16 and bfloat16 scales. Where ``z * s`` is beyond
        float16 though the weights are not, None means float32 too; so parameters are read for float16.

        Raises UnsupportedFormat ``unsupported-affine`` for widths or groups that MLX cannot express.
        """
        if self.bits not in AFFINE_BITS:
            raise _no_affine(f"MLX has no affine codes of {self.bits} bits, only of {AFFINE_BITS}")
        dtype = params_dtype or self.dtype
        words, permutation, group_size = self.words, None, self.group_size
        if self.group_index is not None:
            permutation = mx.argsort(self.group_index)
            group_size = self._equal_group_size(permutation)
        target = next((size for size in AFFINE_GROUP_SIZES if group_size % size == 0), None)
        if target is None:
            raise _no_affine(f"groups of {group_size} input channels do not divide into MLX's {AFFINE_GROUP_SIZES}")
        if permutation is not None:
            words = pack(mx.take(self.codes(), permutation, axis=1), self.bits)
            permutation = permutation.astype(mx.int32)
        scales = self.scales.T.astype(mx.float32)
        biases = -(self.zeros.T.astype(mx.float32) * scales)
        if params_dtype is None and dtype == mx.float16 and not mx.isfinite(biases.astype(dtype)).all().item():
            dtype = mx.float32
        repeat = group_size // target
        params = [mx.contiguous(mx.repeat(p.astype(dtype), repeat, axis=1)) for p in (scales, biases)]
        return AffineWeights(words, params[0], params[1], target, self.bits, permutation)

    def _equal_group_size(self, permutation: mx.array) -> int:
        assert self.group_index is not None
        groups = self.scales.shape[0]
        size, rest = divmod(self.in_features, groups)
        expected = mx.repeat(mx.arange(groups, dtype=mx.int32), size)
        if rest or not mx.array_equal(self.group_index[permutation], expected).item():
            raise _no_affine("g_idx gives its groups unequal sizes, which MLX cannot express")
        return size


def _no_affine(why: str) -> UnsupportedFormat:
    return UnsupportedFormat("unsupported-affine", f"{why}; decode to dense")


def _decode(
    words: mx.array,
    scales: mx.array,
    zeros: mx.array,
    group_index: mx.array | None,
    bits: int,
    in_features: int,
    group_size: int,
    stored: mx.Dtype,
    dtype: mx.Dtype,
) -> mx.array:
    """Rows of ``W``: words [rows, n], float32 scales and int8 zeros [groups, rows] to [rows, in] as ``dtype``."""
    codes = unpack(words, bits, in_features)
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
    return scaled(scales, wide.astype(mx.float32), stored, dtype).reshape(-1, in_features)


@functools.cache
def _fused(*plan: Any) -> Callable[..., mx.array]:
    return mx.compile(lambda words, scales, zeros, group_index: _decode(words, scales, zeros, group_index, *plan))
