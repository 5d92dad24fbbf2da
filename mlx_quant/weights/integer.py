"""Integer codes with a scale and an integer zero point a group: ``W[o, i] = s[g[i], o] * (q[o, i] - z[g[i], o])``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import mlx.core as mx
import numpy as np

from . import cpu, device, fields, kernels, later
from .bits import NIBBLES, pack, unpack
from .compiled import fused
from .host import Filling, block_rows, in_memory, largest, ready
from .lookup import look_up, pays
from .native import AFFINE_BITS, AFFINE_GROUP_SIZES, AffineWeights, no_packed_form
from .parameters import parameters, singles
from .rounding import bits_of, half, scaled
from .words import Nibbles, Rows, Words, words_of

# Words are decoded so many rows at a time.
_ROWS = 256
_LARGEST_HALF = 65504
# A matrix of so many words has left the caches before anybody reads it.
_COLD = 1 << 20


# Writes what words [rows, n] of a slice of rows become, into memory [rows, m].
Decoder = Callable[[slice, np.ndarray, np.ndarray], None]
# Rounds to the bits of some dtype.
Narrower = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Integer:
    """Codes, zero points, scales and groups of one matrix ``[out, in]``.

    Attributes:
        words: uint32 [out, ceil(in * bits / 32)], the codes as a little-endian bit stream along ``in``; or what gives
            them, where a file holds them in another order.
        zeros: uint8 [groups, out], values 0 to ``2**bits - 1``; or as a file holds them, where a kernel reads those.
        scales: [groups, out], float16, bfloat16 or float32, all finite.
        bits: width of a code, 1 to 8.
        group_size: input channels a group, when ``group_index`` is None.
        group_index: None for consecutive groups of ``group_size``, else int32 [in] with values in [0, groups).
        largest: the largest magnitude of the scales; None where nobody has looked.
    """

    words: mx.array | Words
    zeros: mx.array | device.Stored
    scales: mx.array
    bits: int
    in_features: int
    group_size: int
    group_index: mx.array | None = None
    largest: float | None = None

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

    @property
    def zero_points(self) -> mx.array:
        """uint8 [groups, out], lazy."""
        return self.zeros.array(self.bits, self.shape[0]) if isinstance(self.zeros, device.Stored) else self.zeros

    def codes(self) -> mx.array:
        """uint8 [out, in], lazy."""
        return self._unpacked(self._in_rows())

    def dense(self, dtype: mx.Dtype | None = None) -> mx.array:
        """``W`` [out, in] as ``dtype`` (default: dtype of the scales), rounded once, to nearest even.

        On the CPU it is decoded before this returns; elsewhere when it is evaluated.
        """
        return self.begin_dense(dtype)()

    def begin_dense(self, dtype: mx.Dtype | None = None) -> Callable[[], mx.array]:
        """What :meth:`dense` gives, when it is asked for; on the CPU other threads begin with it."""
        dtype = dtype or self.dtype
        if mx.default_device() == mx.gpu:
            return partial(self._dense_on_gpu, dtype)
        # At once: each evaluation wakes a thread of MLX's.
        ready(words_of(self.words).stored, self.scales, self.zero_points, self.group_index)
        if pays(self.in_features, self.scales.shape[0] << self.bits):
            return self._looked_up(dtype).whole
        return self._by_rows(self.in_features, dtype, _product(self, dtype)).whole

    def planned(self, params_dtype: mx.Dtype | None = None) -> AffineWeights:
        """As :meth:`native`, and lazy on every device: made for its shapes and its refusals, which read no codes."""
        bits = self._affine_bits
        dtype = params_dtype or self.dtype
        words, permutation, group_size = self._in_rows(), None, self.group_size
        if self.group_index is not None:
            permutation = mx.argsort(self.group_index).astype(mx.int32)
            group_size = self._equal_group_size(permutation)
        target = next((size for size in AFFINE_GROUP_SIZES if group_size % size == 0), None)
        if target is None:
            raise no_packed_form(f"groups of {group_size} input channels do not divide into MLX's {AFFINE_GROUP_SIZES}")
        if permutation is not None or bits != self.bits:
            words = self._reordered(words, permutation)
        repeat = group_size // target
        scales, biases = _parameters_of(self, dtype, repeat)
        doubtful = params_dtype is None and dtype == mx.float16 and self._may_overflow()
        if doubtful and not mx.isfinite(biases).all().item():
            scales, biases = _parameters_of(self, mx.float32, repeat)
        return AffineWeights(words, scales, biases, target, bits, permutation)

    def native(self, params_dtype: mx.Dtype | None = None) -> AffineWeights:
        """MLX's affine form; codes and scales unchanged, ``biases = RN(-z * s)`` in ``params_dtype``.

        ``params_dtype`` None keeps the dtype of the scales: what ``mlx_lm`` runs fastest, exact for symmetric weights
        (z a power of two), and off by at most half a unit in the last place of ``z * s`` elsewhere. ``mx.float32``
        makes ``scales * q + biases`` exact in float32 for float16 and bfloat16 scales. Where ``z * s`` is beyond
        float16 though the weights are not, None means float32 too; so parameters are read for float16. Codes are moved
        at once on the CPU; elsewhere lazily, or, where a kernel has to say what it met, at once too.

        Codes of 7 bits, which MLX has not, become codes of 8 with the same values.

        Raises UnsupportedFormat ``unsupported-affine`` for groups that MLX cannot express.
        """
        return self.begin_native(params_dtype)()

    def begin_native(self, params_dtype: mx.Dtype | None = None) -> Callable[[], AffineWeights]:
        """What :meth:`native` gives, when it is asked for, and refuses at once; on the CPU other threads begin to move
        codes."""
        if mx.default_device() == mx.gpu:
            found = self._native_by_kernel(params_dtype) or self._decided().planned(params_dtype)
            return lambda: found
        planned = self.planned(params_dtype)
        words, permutation, moved = words_of(self.words), planned.permutation, None
        # Other threads begin with the words while this one makes parameters.
        if permutation is not None or planned.bits != self.bits:
            reorder = self._reorderer(permutation)
            moved = self._by_rows(planned.weight.shape[1], mx.uint32, reorder, shared=True)
        elif not isinstance(words, Rows):
            ready(words.stored)
            write = partial(words.write, cold=math.prod(words.shape) >= _COLD)
            moved = Filling(words.shape, mx.uint32, write, block_rows(*words.shape), shared=True)
        mx.eval(self.scales, self.zero_points)
        repeat = planned.scales.shape[1] // self.scales.shape[0]
        if (made := parameters(self.scales, self.zero_points, planned.scales.dtype, repeat)) is not None:
            planned = replace(planned, scales=made[0], biases=made[1])
        return lambda: planned if moved is None else replace(planned, weight=moved.whole())

    def _dense_on_gpu(self, dtype: mx.Dtype) -> mx.array:
        words, told = words_of(self.words), later.blank()
        parts = self.scales, self.zeros, self.group_index, self.group_size, dtype, told
        found = device.dense(words, self.bits, self.in_features, *parts)
        if found is not None:
            later.tells(told, found, self.scales, self.group_index)
            return found
        return self._decided()._by_operations(dtype)

    def _by_operations(self, dtype: mx.Dtype) -> mx.array:
        words, size, in_word = words_of(self.words), self.group_size, 32 // self.bits
        turned = mx.contiguous(words.stored.T) if isinstance(words, Nibbles) else words.array()
        scales, zeros = self.scales, self.zero_points
        if self.group_index is not None:
            scales, zeros = (_gathered(each, self.group_index) for each in (scales, zeros))
            size = 1
        scales, zeros = (mx.contiguous(each.T) for each in (scales, zeros))
        if isinstance(words, Nibbles):
            decode = fused(_nibbles_on_gpu, size, self.dtype, dtype)
            return cast(mx.array, decode(turned, _shifts(words), scales, zeros))
        full = 8 % self.bits == 0 and self.in_features == turned.shape[1] * in_word
        if full and (size == 1 or size % in_word == 0):
            decode = fused(_words_on_gpu, self.bits, size, self.dtype, dtype)
            return cast(mx.array, decode(turned, _unsigned(range(0, 32, self.bits)), scales, zeros))
        decode = fused(_on_gpu, self.bits, self.in_features, size, self.dtype, dtype)
        return cast(mx.array, decode(turned, scales, zeros))

    def _native_by_kernel(self, params_dtype: mx.Dtype | None) -> AffineWeights | None:
        """As :meth:`native`; None where there is no kernel for it, or one that met what it cannot do or must not."""
        dtype, size, groups = params_dtype or self.dtype, self.group_size, self.scales.shape[0]
        if self.group_index is not None:
            size, over = divmod(self.in_features, groups)
            if over:
                return None
        target = next((target for target in AFFINE_GROUP_SIZES if size % target == 0), None)
        if target is None:
            return None
        told = later.blank()
        parts = self.scales, self.zeros, self.group_index, size // target, dtype, told
        found = device.affine(words_of(self.words), self.bits, self.in_features, *parts)
        if found is None:
            return None
        words, scales, biases, *rest = found
        permutation = rest[0] if rest else None
        known = self.group_index is None and not later.waits(self.scales)
        if not known or (params_dtype is None and dtype == mx.float16 and self._may_overflow()):
            mx.eval(found)
            doubtful, reordered = later.said(told)
            if doubtful:
                return None
            if later.waits(self.group_index) and not reordered and size == self.group_size:
                permutation = None
            later.passed(self.scales, self.group_index)
        return AffineWeights(words, scales, biases, target, self.bits, permutation)

    def _decided(self) -> Integer:
        """This without a map that says no more than the group size, where that was to be asked later."""
        if self.group_index is None or not later.waits(self.group_index) or self.in_features % self.group_size:
            return self
        consecutive = mx.arange(self.in_features, dtype=mx.int32) // self.group_size
        ordered = mx.array_equal(self.group_index, consecutive).item()
        return replace(self, group_index=None) if ordered else self

    def _looked_up(self, dtype: mx.Dtype) -> Filling:
        """:meth:`dense` of an evaluated weight, with the values of a group listed."""
        bits, width = self.bits, self.scales.shape[0] << self.bits
        channels = np.arange(self.in_features) // self.group_size
        groups = channels if self.group_index is None else in_memory(self.group_index).astype(np.int64)
        first, levels, lists = groups << bits, 1 << bits, self._listed(dtype)
        return look_up(self.shape, dtype, self._some, lists, width, bits=bits, first=first, levels=levels, step=_ROWS)

    def _listed(self, dtype: mx.Dtype) -> Callable[[slice], np.ndarray]:
        """What gives the bits of each code's value in each group, [n, groups << bits], for rows of an evaluated
        weight."""
        bits, exact = self.bits, self.dtype != mx.float32 or dtype == mx.float32
        if exact and (found := cpu.kernels(self.shape[0] * self.in_features)) is not None:
            stored, points = in_memory(self.scales), in_memory(self.zero_points)

            def listed(rows: slice) -> np.ndarray:
                memory = np.empty((rows.stop - rows.start, len(stored) << bits), f"u{dtype.size}")
                found.list_products(stored[:, rows], self.dtype, points[:, rows], bits, dtype, memory)
                return memory

            return listed
        scales, zeros = _parameters(self)
        if self.dtype == mx.float32 and dtype != mx.float32:
            scales = scales.astype(np.float64)  # which holds the products; they are rounded once
        known = np.arange(1 << bits, dtype=np.float32)
        narrow: Narrower = half if self.dtype == dtype == mx.float16 else partial(bits_of, dtype=dtype)

        def lists(rows: slice) -> np.ndarray:
            return narrow(scales[rows, :, None] * (known - zeros[rows, :, None])).reshape(rows.stop - rows.start, -1)

        return lists

    def _by_rows(self, columns: int, dtype: mx.Dtype, decode: Decoder, *, shared: bool = False) -> Filling:
        """[out, columns], made on the CPU from the words of a few rows at a time; ``shared`` as for
        :class:`Filling`."""
        ready(words_of(self.words).stored)

        def write(rows: slice, memory: np.ndarray) -> None:
            decode(rows, self._some(rows), memory)

        return Filling((self.shape[0], columns), dtype, write, _ROWS, shared=shared)

    def _some(self, rows: slice) -> np.ndarray:
        """Words uint32 [n, ...] of some rows; they must be evaluated."""
        source = words_of(self.words)
        words = np.empty((rows.stop - rows.start, source.shape[1]), np.uint32)
        source.write(rows, words)
        return words

    def _reorderer(self, permutation: mx.array | None) -> Decoder:
        """As :meth:`_reordered`, of some rows."""
        mx.eval(permutation)
        order = None if permutation is None else in_memory(permutation)

        def reorder(_: slice, words: np.ndarray, memory: np.ndarray) -> None:
            codes = fields.unpacked(words, self.bits, self.in_features)
            memory[...] = fields.packed(codes if order is None else fields.reordered(codes, order), self._affine_bits)

        return reorder

    def _in_rows(self) -> mx.array:
        """Words uint32 [out, n], lazy."""
        words = words_of(self.words)
        if mx.default_device() != mx.gpu or not isinstance(words, Nibbles):
            return words.array()
        codes = fused(_nibbles)(mx.contiguous(words.stored.T)[:, None], _shifts(words)[:, None])
        return pack(codes.reshape(self.shape), self.bits)

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

    def _may_overflow(self) -> bool:
        """Whether the product of some scale and some zero point might be beyond float16."""
        most = largest(self.scales) if self.largest is None else self.largest
        return most * ((1 << self.bits) - 1) > _LARGEST_HALF

    def _equal_group_size(self, permutation: mx.array) -> int:
        assert self.group_index is not None
        groups = self.scales.shape[0]
        size, rest = divmod(self.in_features, groups)
        expected = mx.repeat(mx.arange(groups, dtype=mx.int32), size)
        if rest or not mx.array_equal(self.group_index[permutation], expected).item():
            raise no_packed_form("g_idx gives its groups unequal sizes, which MLX cannot express")
        return size


def _parameters_of(weight: Integer, dtype: mx.Dtype, repeat: int) -> tuple[mx.array, mx.array]:
    """Scales and ``RN(-z * s)`` as ``dtype``, [out, groups * repeat]; lazy."""
    found = fused(_affine, dtype, repeat)(weight.scales, weight.zero_points)
    return cast(tuple[mx.array, mx.array], found)


def _affine(scales: mx.array, zeros: mx.array, dtype: mx.Dtype, repeat: int) -> tuple[mx.array, mx.array]:
    single = scales.T.astype(mx.float32)
    biases = -(zeros.T.astype(mx.float32) * single)
    scales, biases = (mx.contiguous(mx.repeat(each.astype(dtype), repeat, axis=1)) for each in (single, biases))
    return scales, biases


def _parameters(weight: Integer) -> tuple[np.ndarray, np.ndarray]:
    """Scales in float32 and zero points, [out, groups], computed once for all rows; of an evaluated weight."""
    scales, zeros = singles(weight.scales), in_memory(weight.zero_points)
    return np.ascontiguousarray(scales.T), np.ascontiguousarray(zeros.T)


def _product(weight: Integer, dtype: mx.Dtype) -> Decoder:
    """Rows by their formula, weight by weight."""
    scales, zeros = map(mx.array, _parameters(weight))

    def decode(rows: slice, words: np.ndarray, memory: np.ndarray) -> None:
        codes = unpack(mx.array(words), weight.bits, weight.in_features)
        parts = (weight.group_index, weight.group_size, weight.dtype, dtype)
        block = _decode(codes, scales[rows], zeros[rows], *parts)
        mx.eval(block)
        memory[...] = in_memory(block).view(memory.dtype)

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
    return _times(scales, codes, zeros, stored, dtype).reshape(rows, in_features)


def _times(scales: mx.array, codes: mx.array, zeros: mx.array, stored: mx.Dtype, dtype: mx.Dtype) -> mx.array:
    wide = codes.astype(mx.int16) - zeros.astype(mx.int16)
    return scaled(scales, wide.astype(mx.float32), stored, dtype)


def _on_gpu(words: mx.array, scales: mx.array, zeros: mx.array, bits: int, in_features: int, *plan: Any) -> mx.array:
    return _decode(unpack(words, bits, in_features), scales.astype(mx.float32), zeros, None, *plan)


def _words_on_gpu(
    words: mx.array, shifts: mx.array, scales: mx.array, zeros: mx.array, bits: int, size: int, *plan: Any
) -> mx.array:
    """As :func:`_decode`, of words [out, n] without padding: no codes lie in memory. ``shifts`` are those of fields."""
    out, in_word = words.shape[0], shifts.size
    # In groups that are whole words, or, of one channel, a parameter for each field.
    codes = words.reshape(out, -1, max(1, size // in_word), 1) >> shifts
    scales, zeros = (each.reshape(out, codes.shape[1], 1, 1 if size > 1 else in_word) for each in (scales, zeros))
    return _times(scales.astype(mx.float32), codes & ((1 << bits) - 1), zeros, *plan).reshape(out, -1)


def _nibbles_on_gpu(
    turned: mx.array, shifts: mx.array, scales: mx.array, zeros: mx.array, size: int, *plan: Any
) -> mx.array:
    """As :func:`_decode`, of words [out / 8, in] that are :class:`.words.Nibbles`: no codes lie in memory."""
    columns, in_features = turned.shape
    codes = _nibbles(turned.reshape(columns, 1, -1, size), shifts[:, None, None])
    scales, zeros = (each.reshape(columns, NIBBLES, -1, 1) for each in (scales, zeros))
    return _times(scales.astype(mx.float32), codes, zeros, *plan).reshape(-1, in_features)


def _nibbles(words: mx.array, shifts: mx.array) -> mx.array:
    return ((words >> shifts) & 15).astype(mx.uint8)


def _shifts(words: Nibbles) -> mx.array:
    """uint32 [8], how far above its word's lowest bits each output's nibble lies."""
    return _unsigned(4 * words.order.index(output) for output in range(NIBBLES))


def _unsigned(numbers: Iterable[int]) -> mx.array:
    return kernels.numbers(*numbers).view(mx.uint32)


def _gathered(table: mx.array, index: mx.array) -> mx.array:
    """Rows of ``table``. A GPU gathers number by number, so they are taken for the widest numbers that fill them."""
    row = table.shape[1] * table.dtype.size
    wide = next(dtype for dtype in (mx.uint64, mx.uint32, mx.uint16, mx.uint8) if row % dtype.size == 0)
    return mx.take(mx.contiguous(table).view(wide), index, axis=0).view(table.dtype)
