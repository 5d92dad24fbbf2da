"""Codes that stand for numbers, and a scale a block: ``W = value[q] * s``, for FP8, FP4 and codebooks of 16 values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import mlx.core as mx
import numpy as np

from .floats import E2M1, E2M1_UNSIGNED_ZERO, e4m3, looked_up
from .host import in_memory
from .lookup import lists, look_up, pays
from .native import Mxfp4Weights, Mxfp8Weights, NativeWeights, Nvfp4Weights, no_packed_form
from .pieces import pieces

# Both of MLX's modes with E8M0 scales have them; nvfp4 has groups of half as many.
_GROUP, _SHORT = 32, 16

Values = Literal["e4m3", "e2m1", "e2m1-unsigned-zero"]
_TABLES = {"e2m1": E2M1, "e2m1-unsigned-zero": E2M1_UNSIGNED_ZERO}


@dataclass(frozen=True)
class Scaled:
    """Codes, their values, and the scales of one matrix ``[out, in]``, or of a stack ``[experts, out, in]``.

    The value is ``RN(RN32(value[q] * s))``: a product in float32, which is exact where ``s`` has at most 20 bits, and
    one rounding to the dtype asked for. A format whose scale is itself a product says so where ``scales`` is made.

    Attributes:
        codes: uint8 [..., out, in] of ``"e4m3"``; [..., out, in / 2] of 4-bit codes, the low nibble first.
        values: what codes stand for: ``"e4m3"``, ``"e2m1"``, and that with a 0 for -0.
        scales: float32 [..., ceil(out / rows), ceil(in / columns)], all finite.
        block: (rows, columns) of the matrix that share a scale; the last ones of an axis may hold fewer.
        dtype: the one that the format defines.
        rounds_scales: whether scales are rounded to the dtype of the result before the product.
        exponents: None, or uint8 with the shape of ``scales``: the E8M0 bytes that they are.
        bytes_: None, or uint8 with the shape of ``scales``: the E4M3 bytes that they are.
    """

    codes: mx.array
    values: Values
    scales: mx.array
    block: tuple[int, int]
    dtype: mx.Dtype
    rounds_scales: bool = False
    exponents: mx.array | None = None
    bytes_: mx.array | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        width = self.codes.shape[-1] * (1 if self.values == "e4m3" else 2)
        return *self.codes.shape[:-1], width

    @property
    def act_order(self) -> bool:
        return False

    def dense(self, dtype: mx.Dtype | None = None) -> mx.array:
        """``W`` [..., out, in] as ``dtype``."""
        dtype = dtype or self.dtype
        scales = self.scales.astype(dtype).astype(mx.float32) if self.rounds_scales else self.scales
        if self.codes.ndim > 2:
            return mx.stack([self._matrix(*pair, dtype) for pair in zip(self.codes, scales, strict=True)])
        return self._matrix(self.codes, scales, dtype)

    def native(self, params_dtype: mx.Dtype | None = None) -> NativeWeights:
        """MLX's mxfp8, mxfp4 or nvfp4, codes and scales unchanged: for E8M0 scales of blocks that groups of 32 divide,
        and for E4M3 scales of 16 codes of four bits.

        ``params_dtype`` changes nothing, because these modes have no float parameters. Raises UnsupportedFormat
        ``unsupported-affine`` for other scales, and for what MLX reads otherwise: byte 255, and a last group that is
        not whole.
        """
        if self.bytes_ is not None and self.block == (1, _SHORT):
            return Nvfp4Weights(mx.contiguous(self.codes).view(mx.uint32), self.bytes_, None, _SHORT, 4)
        kind, bits = (Mxfp8Weights, 8) if self.values == "e4m3" else (Mxfp4Weights, 4)
        rows, columns = self.block
        out, in_features = self.shape[-2:]
        if self.block == (1, _SHORT):
            raise no_packed_form("MLX's nvfp4 has no scale of the whole matrix in mlx-lm's linear layers")
        if self.exponents is None:
            raise no_packed_form(f"MLX's {kind.mode} has scales that are powers of two, one byte each")
        if columns % _GROUP or in_features % _GROUP:
            raise no_packed_form(f"MLX's {kind.mode} has groups of {_GROUP} of {in_features} input channels")
        scales = mx.repeat(self.exponents, columns // _GROUP, axis=-1)[..., : in_features // _GROUP]
        scales = mx.contiguous(mx.repeat(scales, rows, axis=-2)[..., :out, :])
        return kind(mx.contiguous(self.codes).view(mx.uint32), scales, None, _GROUP, bits)

    def _matrix(self, codes: mx.array, scales: mx.array, dtype: mx.Dtype) -> mx.array:
        rows, columns = self.block
        out, in_features = self.shape[-2:]
        known = mx.array(_TABLES[self.values]) if self.values in _TABLES else e4m3(mx.arange(256, dtype=mx.uint8))
        if pays(out * in_features, scales.size * known.size):
            return self._looked_up(codes, scales, known, dtype)
        step = pieces(in_features * rows) * rows
        parts = []
        for start in range(0, out, step):
            values = self._values(codes[start : start + step])
            own = scales[start // rows : -(-(start + values.shape[0]) // rows)]
            if rows > 1:
                own = mx.repeat(own, rows, axis=0)[: values.shape[0]]
            parts.append(_times(values, own, columns).astype(dtype))
        return mx.concatenate(parts) if len(parts) > 1 else parts[0]

    def _looked_up(self, codes: mx.array, scales: mx.array, known: mx.array, dtype: mx.Dtype) -> mx.array:
        """:meth:`_matrix` with the values of a block listed, of codes that stand for what is ``known``."""
        rows, columns = self.block
        out, in_features = self.shape[-2:]
        mx.eval(codes, scales, known)
        octets, width = in_memory(codes), scales.shape[1] * known.size
        bits = known.size.bit_length() - 1

        def products(part: slice) -> mx.array:
            return (scales[part][..., None] * known).astype(dtype).reshape(-1, width)

        first = np.arange(in_features) // columns * known.size
        listed = lists(scales.shape[0], width, dtype, products)
        return look_up(
            (out, in_features),
            dtype,
            lambda part: octets[part],
            listed,
            width,
            bits=bits,
            first=first,
            height=rows,
            levels=known.size,
        ).whole()

    def _values(self, codes: mx.array) -> mx.array:
        return e4m3(codes) if self.values == "e4m3" else looked_up(codes, mx.array(_TABLES[self.values]))


def _times(values: mx.array, scales: mx.array, columns: int) -> mx.array:
    """float32 [rows, in] times [rows, ceil(in / columns)], each scale over ``columns`` neighbours."""
    rows, in_features = values.shape
    if scales.shape[1] == 1:
        return values * scales
    if in_features % columns:
        return values * mx.repeat(scales, columns, axis=1)[:, :in_features]
    return (values.reshape(rows, -1, columns) * scales[:, :, None]).reshape(rows, in_features)
