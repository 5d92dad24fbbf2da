"""Codes less a zero point, times a scale of their group, times a scale of their input: three steps, all rounded."""

from __future__ import annotations

from dataclasses import dataclass

import mlx.core as mx

from .native import AffineWeights, no_packed_form
from .pieces import pieces
from .rounding import rounded
from .shifted import Shifted


@dataclass(frozen=True)
class Crossed:
    """``W = RN(RN'(RN'(RN"(v - z) * s) * c))``, where ``v`` is a code, or what it stands for in ``levels``.

    Attributes:
        matrix: codes folded to rows of one group each, zero points and scales [rows, 1] of one dtype.
        columns: [bands, in], of the dtype of the scales: scales of inputs, of a band of neighbouring outputs each.
        first: the dtype that the difference is rounded to.
        rest: the dtype that both products are rounded to.
        dtype: the one that the format defines.
        levels: None, or what codes stand for, in the dtype of the scales.
    """

    matrix: Shifted
    columns: mx.array
    first: mx.Dtype
    rest: mx.Dtype
    dtype: mx.Dtype
    levels: mx.array | None = None

    @property
    def shape(self) -> tuple[int, int]:
        return self.matrix.shape

    @property
    def act_order(self) -> bool:
        return False

    def codes(self) -> mx.array:
        """uint8 [out, in], lazy."""
        return self.matrix.codes()

    def dense(self, dtype: mx.Dtype | None = None) -> mx.array:
        """``W`` [out, in] as ``dtype``, which is cast from the format's own; lazy."""
        dtype = dtype or self.dtype
        (out, in_features), bands = self.shape, self.columns.shape[0]
        group = self.matrix.words.shape[1]
        scales, zeros = (p.astype(mx.float32).reshape(out, -1, 1) for p in (self.matrix.scales, self.matrix.zeros))
        columns, codes = self.columns.astype(mx.float32), self.codes()
        levels = None if self.levels is None else self.levels.astype(mx.float32)
        step = pieces(in_features)
        parts = []
        for start in range(0, out, step):
            rows = slice(start, min(start + step, out))
            values = codes[rows].astype(mx.float32) if levels is None else mx.take(levels, codes[rows])
            groups = values.reshape(rows.stop - start, -1, group)
            # The difference of two half floats, made in float32, is rounded far out of reach of the next rounding.
            products = rounded(rounded(groups - zeros[rows], self.first) * scales[rows], self.rest)
            band = columns if bands == 1 else columns[mx.arange(start, rows.stop) // (out // bands)]
            found = rounded(products.reshape(-1, in_features) * band, self.rest)
            parts.append(rounded(found, self.dtype).astype(dtype))
        return mx.concatenate(parts) if len(parts) > 1 else parts[0]

    def native(self, params_dtype: mx.Dtype | None = None) -> AffineWeights:
        """MLX's affine form, as :meth:`Shifted.native`, where every scale of an input is 1.

        Raises UnsupportedFormat ``unsupported-affine`` where one is not, where codes stand for levels, and for groups
        that MLX cannot express.
        """
        if self.levels is not None:
            raise no_packed_form("codes stand for levels that are not evenly spaced")
        if not (self.columns == 1).all().item():
            raise no_packed_form(
                "every input has a scale of its own, and in MLX's affine form those of a group share one"
            )
        return self.matrix.native(params_dtype)
