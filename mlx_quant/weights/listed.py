"""Codes of four bits that stand for numbers in a list, and a scale for each block of the flattened matrix."""

from __future__ import annotations

import math
from dataclasses import dataclass

import mlx.core as mx
import numpy as np

from .host import in_memory
from .lookup import lists, look_up, pays
from .native import NativeWeights, no_packed_form
from .pieces import pieces


@dataclass(frozen=True)
class Listed:
    """Codes, the numbers that they stand for, and the scales of one matrix ``[out, in]``, flattened by rows.

    The value is ``RN(RN32(values[q] * s))``: a product in float32, and one rounding to the dtype asked for.

    Attributes:
        codes: uint8 [ceil(out * in / 2)], the first code of a byte in its high half.
        values: float32 [16].
        scales: float32 [ceil(out * in / block)], all finite.
        block: weights in a row that share a scale, an even number; the last block may hold fewer.
        size: (out, in).
        dtype: the one that the format defines.
    """

    codes: mx.array
    values: mx.array
    scales: mx.array
    block: int
    size: tuple[int, int]
    dtype: mx.Dtype

    @property
    def shape(self) -> tuple[int, int]:
        return self.size

    @property
    def act_order(self) -> bool:
        return False

    def dense(self, dtype: mx.Dtype | None = None) -> mx.array:
        """``W`` [out, in] as ``dtype``; at once on a CPU where that pays, else lazy."""
        dtype = dtype or self.dtype
        if math.prod(self.size) % self.block == 0 and pays(self.block, len(self.values)):
            return self._looked_up(dtype).reshape(self.size)
        # All 256 bytes are listed: half the reads of a look-up by code.
        pairs = mx.stack([mx.repeat(self.values, 16), mx.tile(self.values, 16)], axis=-1)
        count, step = math.prod(self.size), pieces(self.block)
        parts = []
        for first in range(0, self.scales.size, step):
            scales = self.scales[first : first + step]
            start = first * self.block
            weights = min(count - start, scales.size * self.block)
            found = mx.take(pairs, self.codes[start // 2 : -(-(start + weights) // 2)].astype(mx.uint32), axis=0)
            parts.append(_times(found.reshape(-1)[:weights], scales, self.block).astype(dtype))
        return (mx.concatenate(parts) if len(parts) > 1 else parts[0]).reshape(self.size)

    def _looked_up(self, dtype: mx.Dtype) -> mx.array:
        """``W`` [blocks, block], with the values of a block listed."""
        mx.eval(self.codes, self.scales, self.values)
        octets = in_memory(self.codes).reshape(self.scales.size, -1)

        def codes(rows: slice) -> np.ndarray:
            found = np.empty((rows.stop - rows.start, self.block), np.uint8)
            np.right_shift(octets[rows], 4, out=found[:, 0::2])
            np.bitwise_and(octets[rows], 15, out=found[:, 1::2])
            return found

        width = len(self.values)
        listed = lists(
            self.scales.size, width, dtype, lambda rows: (self.values * self.scales[rows, None]).astype(dtype)
        )
        return look_up((self.scales.size, self.block), dtype, codes, listed, width).whole()

    def native(self, params_dtype: mx.Dtype | None = None) -> NativeWeights:
        """UnsupportedFormat ``unsupported-affine``: MLX has no packed mode in which codes are looked up in a list."""
        raise no_packed_form("MLX has no packed form for codes that are looked up in a list")


def _times(values: mx.array, scales: mx.array, block: int) -> mx.array:
    """float32 [n] times [ceil(n / block)], each scale over ``block`` neighbours."""
    if values.size % block:
        return values * mx.repeat(scales, block)[: values.size]
    return (values.reshape(-1, block) * scales[:, None]).reshape(-1)
