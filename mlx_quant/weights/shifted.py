"""Codes less a zero point that is a float, times a scale: two steps, each of them rounded."""

from __future__ import annotations

from dataclasses import dataclass

import mlx.core as mx
import numpy as np

from . import fields
from .bits import pack
from .host import in_memory
from .lookup import lists, look_up, pays
from .native import AFFINE_BITS, AFFINE_GROUP_SIZES, AffineWeights, no_packed_form
from .pieces import pieces
from .rounding import rounded


@dataclass(frozen=True)
class Shifted:
    """``W = RN(RN(q - z) * s)``, both roundings in the dtype of the scales.

    A matrix [out, in] is flattened by rows and folded to ``count`` rows. A word holds a code of several of them, whose
    distance is the number of rows of words.

    Attributes:
        words: uint8 or int32 [n, columns].
        shifts: of the codes of rows 0 to n - 1, of rows n to 2n - 1, and so on.
        bits: width of a code, 1 to 8.
        count: rows of codes, at most as many as there is room for.
        scales, zeros: [count, 1] or [1, columns], of one dtype: float16, bfloat16 or float32.
        size: (out, in), of as many weights as ``count`` rows have.
    """

    words: mx.array
    shifts: tuple[int, ...]
    bits: int
    count: int
    scales: mx.array
    zeros: mx.array
    size: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int]:
        return self.size

    @property
    def dtype(self) -> mx.Dtype:
        return self.scales.dtype

    @property
    def act_order(self) -> bool:
        return False

    def codes(self) -> mx.array:
        """uint8 [out, in], lazy."""
        planes = [self._plane(self.words, shift) for shift in self.shifts]
        return mx.concatenate(planes)[: self.count].reshape(self.size)

    def dense(self, dtype: mx.Dtype | None = None) -> mx.array:
        """``W`` [out, in] as ``dtype``; at once on a CPU where that pays, else lazy."""
        dtype = dtype or self.dtype
        scales, zeros = self.scales.astype(mx.float32), self.zeros.astype(mx.float32)
        height, columns = self.words.shape
        if pays(self.count * columns, scales.size << self.bits):
            return self._looked_up(scales, zeros, dtype).reshape(self.size)
        step = pieces(columns)
        parts = []
        for plane, shift in enumerate(self.shifts):
            first = plane * height
            for start in range(0, min(height, self.count - first), step):
                words = self.words[start : min(start + step, self.count - first)]
                rows = slice(None) if scales.shape[0] == 1 else slice(first + start, first + start + len(words))
                codes = self._plane(words, shift).astype(mx.float32)
                parts.append(self._values(codes, scales[rows], zeros[rows]).astype(dtype))
        return (mx.concatenate(parts) if len(parts) > 1 else parts[0]).reshape(self.size)

    def native(self, params_dtype: mx.Dtype | None = None) -> AffineWeights:
        """MLX's affine form: codes and scales unchanged, biases as the format has them: ``RN(-z * s)`` here.

        MLX rounds ``scales * q + biases`` once, and the format rounds two steps: with float32 parameters one weight in
        300 to 5,000 of a module of half floats is the number next to it, with those of its own dtype more than half
        are. ``params_dtype`` None keeps the dtype of the scales, or is float32 where ``z * s`` is beyond float16.

        Raises UnsupportedFormat ``unsupported-affine`` for groups that MLX cannot express.
        """
        group = self.words.shape[1]
        target = next((size for size in AFFINE_GROUP_SIZES if group % size == 0), None)
        if self.scales.shape[0] == 1 and self.count > 1:
            raise no_packed_form("groups go across the outputs, which MLX cannot express")
        if self.size[1] % group or target is None:
            raise no_packed_form(
                f"groups of {group} of {self.size[1]} inputs do not divide into MLX's {AFFINE_GROUP_SIZES}, which MLX "
                "cannot express"
            )
        bits = next(width for width in AFFINE_BITS if width >= self.bits)
        scales, zeros = (array.reshape(self.size[0], -1).astype(mx.float32) for array in (self.scales, self.zeros))
        biases, dtype = self._biases(scales, zeros), params_dtype or self.dtype
        if params_dtype is None and dtype == mx.float16 and not mx.isfinite(biases.astype(dtype)).all().item():
            dtype = mx.float32
        params = [mx.contiguous(mx.repeat(p.astype(dtype), group // target, axis=1)) for p in (scales, biases)]
        return AffineWeights(pack(self.codes(), bits), params[0], params[1], target, bits)

    def _looked_up(self, scales: mx.array, zeros: mx.array, dtype: mx.Dtype) -> mx.array:
        """``W`` [count, columns] of scales and zeros in float32, with the values of a group listed."""
        columns, levels = self.words.shape[1], 1 << self.bits
        across = scales.shape[0] != self.count
        known = mx.arange(levels, dtype=mx.float32)
        scales, zeros = scales.reshape(-1, 1), zeros.reshape(-1, 1)
        mx.eval(self.words, scales, zeros)
        words = in_memory(self.words)

        def codes(rows: slice) -> np.ndarray:
            return fields.of_planes(words, self.shifts, self.bits, rows)

        def values(rows: slice) -> mx.array:
            return self._values(known, scales[rows], zeros[rows]).astype(dtype)

        listed = lists(len(scales), levels, dtype, values)
        if not across:
            return look_up((self.count, columns), dtype, codes, listed, levels).whole()
        one, first = listed(slice(None)).reshape(1, -1), np.arange(columns) * levels
        shape, height = (self.count, columns), self.count
        return look_up(shape, dtype, codes, lambda _: one, one.size, first=first, height=height, levels=levels).whole()

    def _values(self, codes: mx.array, scales: mx.array, zeros: mx.array) -> mx.array:
        """Weights of some rows in float32, as all the arguments are."""
        # In float32 a sum of half floats is rounded too, and so far out that the next rounding hides it.
        return rounded(rounded(codes - zeros, self.dtype) * scales, self.dtype)

    def _biases(self, scales: mx.array, zeros: mx.array) -> mx.array:
        return -(zeros * scales)

    def _plane(self, words: mx.array, shift: int) -> mx.array:
        mask = mx.array((1 << self.bits) - 1, dtype=words.dtype)
        return ((words >> mx.array(shift, dtype=words.dtype)) & mask).astype(mx.uint8)
