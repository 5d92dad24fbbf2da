"""Integer codes with a scale and an integer zero point a group: ``W[o, i] = s[g[i], o] * (q[o, i] - z[g[i], o])``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import mlx.core as mx
import numpy as np

from ..errors import UnsupportedFormat
from . import device
from .bits import pack, unpack
from .host import copied, filled
from .native import AFFINE_BITS, AFFINE_GROUP_SIZES, AffineWeights
from .rounding import scaled
from .words import Rows, Words, words_of

# Rows are decoded in blocks of about this many weights on the CPU, so that what lies between two steps stays in cache.
_BLOCK_WEIGHTS = 1 << 19
# Blocks of words that are only moved may be larger: tiles of their own keep them in cache.
_BLOCK_WORDS = 1 << 20


@dataclass(frozen=True)
class Integer:
    """Codes, zero points, scales and groups of one matrix ``[out, in]``.

    Attributes:
        words: uint32 [out, ceil(in * bits / 32)], the codes as a little-endian bit stream along ``in``; or what gives
            them, where a file holds them in another order.
        zeros: uint8 [groups, out], values 0 to ``2**bits - 1``.
        scales: [groups, out], float16, bfloat16 or float32, all finite.
        bits: width of a code, 1 to 8.
        group_size: input channels a group, when ``group_index`` is None.
        group_index: None for consecutive groups of ``group_size``, else int32 [in] with values in [0, groups).
    """

    words: mx.array | Words
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
        """uint8 [out, in], lazy."""
        return self._unpacked(words_of(self.words).array())

    def dense(self, dtype: mx.Dtype | None = None) -> mx.array:
        """``W`` [out, in] as ``dtype`` (default: dtype of the scales), rounded once, to nearest even.

        On the CPU it is decoded before this returns; elsewhere when it is evaluated.
        """
        dtype = dtype or self.dtype
        if mx.default_device() == mx.gpu:
            return self._dense_on_gpu(dtype)
        decode = _lookup(self, dtype) if self._values_repeat() else _product(self, dtype)
        return self._by_rows(self.in_features, dtype, lambda rows, words: decode(rows, self._unpacked(words)))

    def planned(self, params_dtype: mx.Dtype | None = None) -> AffineWeights:
        """As :meth:`native`, and lazy on every device: made for its shapes and its refusals, which read no codes."""
        bits = self._affine_bits
        dtype = params_dtype or self.dtype
        words, permutation, group_size = words_of(self.words).array(), None, self.group_size
        if self.group_index is not None:
            permutation = mx.argsort(self.group_index).astype(mx.int32)
            group_size = self._equal_group_size(permutation)
        target = next((size for size in AFFINE_GROUP_SIZES if group_size % size == 0), None)
        if target is None:
            raise _no_affine(f"groups of {group_size} input channels do not divide into MLX's {AFFINE_GROUP_SIZES}")
        if permutation is not None or bits != self.bits:
            words = self._reordered(words, permutation)
        scales = self.scales.T.astype(mx.float32)
        biases = -(self.zeros.T.astype(mx.float32) * scales)
        if params_dtype is None and dtype == mx.float16 and not mx.isfinite(biases.astype(dtype)).all().item():
            dtype = mx.float32
        repeat = group_size // target
        params = [mx.contiguous(mx.repeat(p.astype(dtype), repeat, axis=1)) for p in (scales, biases)]
        return AffineWeights(words, params[0], params[1], target, bits, permutation)

    def native(self, params_dtype: mx.Dtype | None = None) -> AffineWeights:
        """MLX's affine form; codes and scales unchanged, ``biases = RN(-z * s)`` in ``params_dtype``.

        ``params_dtype`` None keeps the dtype of the scales: what ``mlx_lm`` runs fastest, exact for symmetric weights
        (z a power of two), and off by at most half a unit in the last place of ``z * s`` elsewhere. ``mx.float32``
        makes ``scales * q + biases`` exact in float32 for float16 and bfloat16 scales. Where ``z * s`` is beyond
        float16 though the weights are not, None means float32 too; so parameters are read for float16. Codes are moved
        as :meth:`dense` decodes: at once on the CPU, lazily elsewhere.

        Codes of 7 bits, which MLX has not, become codes of 8 with the same values.

        Raises UnsupportedFormat ``unsupported-affine`` for groups that MLX cannot express.
        """
        planned = self.planned(params_dtype)
        words, permutation = words_of(self.words), planned.permutation
        if permutation is None and isinstance(words, Rows):
            return planned
        if mx.default_device() == mx.gpu:
            found = device.moved(words, self.bits, permutation)
            return planned if found is None else replace(planned, weight=found)
        if permutation is None and planned.bits == self.bits:
            mx.eval(words.stored)
            moved = filled(words.shape, mx.uint32, words.write, _block(_BLOCK_WORDS, words.shape[1]))
        else:
            moved = self._by_rows(
                planned.weight.shape[1], mx.uint32, lambda _, words: self._reordered(words, permutation)
            )
        return replace(planned, weight=moved)

    def _dense_on_gpu(self, dtype: mx.Dtype) -> mx.array:
        words = words_of(self.words)
        found = device.dense(
            words, self.bits, self.in_features, self.scales, self.zeros, self.group_index, self.group_size, dtype
        )
        if found is not None:
            return found
        plan = (self.bits, self.in_features, self.group_size, self.dtype, dtype)
        return _fused(*plan)(words.array(), self.scales, self.zeros, self.group_index)

    def _by_rows(self, columns: int, dtype: mx.Dtype, make: Callable[[slice, mx.array], mx.array]) -> mx.array:
        """[out, columns], made on the CPU from the words of a few rows at a time."""
        source = words_of(self.words)
        mx.eval(source.stored)

        def block(rows: slice) -> mx.array:
            words = np.empty((rows.stop - rows.start, source.shape[1]), np.uint32)
            source.write(rows, words)
            return make(rows, mx.array(words))

        return filled((self.shape[0], columns), dtype, copied(block), _block(_BLOCK_WEIGHTS, self.in_features))

    def _unpacked(self, words: mx.array) -> mx.array:
        return unpack(words, self.bits, self.in_features)

    def _reordered(self, words: mx.array, permutation: mx.array | None) -> mx.array:
        codes = self._unpacked(words)
        if permutation is not None:
            index = mx.broadcast_to(permutation[None], (codes.shape[0], self.in_features))
            codes = mx.take_along_axis(codes, index, axis=1)
        return pack(codes, self._affine_bits)

    @property
    def _affine_bits(self) -> int:
        return next(width for width in AFFINE_BITS if width >= self.bits)

    def _values_repeat(self) -> bool:
        """Whether a group has so few codes that its values cost less to list than to compute one by one."""
        return self.in_features >= 2 * self.scales.shape[0] << self.bits

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


def _block(size: int, columns: int) -> int:
    """Rows a block of about ``size`` elements has, a multiple of 8."""
    return max(8, size // columns // 8 * 8)


def _parameters(weight: Integer) -> tuple[mx.array, mx.array]:
    """Scales in float32 and zero points, [out, groups], computed once for all rows."""
    scales, zeros = mx.contiguous(weight.scales.T.astype(mx.float32)), mx.contiguous(weight.zeros.T)
    mx.eval(scales, zeros, weight.group_index)
    return scales, zeros


def _lookup(weight: Integer, dtype: mx.Dtype) -> Callable[[slice, mx.array], mx.array]:
    """Rows by a table of what each code means in each group, which takes a step less for each weight than the rest.

    One that a group map reorders costs no more: the group is part of the index.
    """
    scales, zeros = _parameters(weight)
    bits, groups = weight.bits, weight.scales.shape[0]
    channels = mx.arange(weight.in_features) // weight.group_size if weight.group_index is None else weight.group_index
    first = (channels << bits).astype(mx.uint16 if groups << bits <= 1 << 16 else mx.uint32)
    codes = mx.arange(1 << bits, dtype=mx.float32)
    mx.eval(first, codes)

    def decode(rows: slice, block: mx.array) -> mx.array:
        table = scaled(scales[rows][..., None], codes - zeros[rows][..., None], weight.dtype, dtype)
        return mx.take_along_axis(table.reshape(table.shape[0], -1), first + block, axis=1)

    return decode


def _product(weight: Integer, dtype: mx.Dtype) -> Callable[[slice, mx.array], mx.array]:
    """Rows by their formula, weight by weight."""
    scales, zeros = _parameters(weight)

    def decode(rows: slice, block: mx.array) -> mx.array:
        return _decode(block, scales[rows], zeros[rows], weight.group_index, weight.group_size, weight.dtype, dtype)

    return decode


def _decode(
    codes: mx.array,
    scales: mx.array,
    zeros: mx.array,
    group_index: mx.array | None,
    group_size: int,
    stored: mx.Dtype,
    dtype: mx.Dtype,
) -> mx.array:
    """Rows of ``W``: uint8 codes [rows, in], float32 scales and uint8 zeros [rows, groups] to [rows, in]."""
    rows, in_features = codes.shape
    if group_index is None:
        codes, scales, zeros = codes.reshape(rows, -1, group_size), scales[:, :, None], zeros[:, :, None]
    else:
        # Whole rows are gathered, then transposed: many times faster than gathering single columns.
        scales, zeros = (mx.take(array.T, group_index, axis=0).T for array in (scales, zeros))
    wide = codes.astype(mx.int16) - zeros.astype(mx.int16)
    return scaled(scales, wide.astype(mx.float32), stored, dtype).reshape(rows, in_features)


def _on_gpu(
    words: mx.array,
    scales: mx.array,
    zeros: mx.array,
    group_index: mx.array | None,
    bits: int,
    in_features: int,
    *plan: Any,
) -> mx.array:
    codes = unpack(words, bits, in_features)
    return _decode(codes, scales.T.astype(mx.float32), zeros.T, group_index, *plan)


@functools.cache
def _fused(*plan: Any) -> Callable[..., mx.array]:
    return mx.compile(lambda words, scales, zeros, group_index: _on_gpu(words, scales, zeros, group_index, *plan))
