"""Integer codes with a scale and an offset a group, whose product and sum are each rounded to float32."""

from __future__ import annotations

from dataclasses import dataclass

import mlx.core as mx

from .bits import unpack
from .lookup import lists, pays
from .offset import Offset
from .pieces import pieces


@dataclass(frozen=True)
class Summed(Offset):
    """``W[o, i] = RN(RN32(RN32(q[o, i] * s[g, o]) + b[g, o]))``; attributes and packed form as of :class:`Offset`."""

    def dense(self, dtype: mx.Dtype | None = None) -> mx.array:
        """``W`` [out, in] as ``dtype`` (default: dtype of the scales); at once on a CPU where that pays, else lazy."""
        dtype = dtype or self.dtype
        out_features, in_features = self.shape
        scales, offsets = (array.T.astype(mx.float32)[:, :, None] for array in (self.scales, self.offsets))
        if pays(in_features, self.scales.shape[0] << self.bits):
            known = mx.arange(1 << self.bits, dtype=mx.float32)
            width = known.size * scales.shape[1]
            mx.eval(scales, offsets)
            make = lambda rows: (known * scales[rows] + offsets[rows]).astype(dtype).reshape(-1, width)  # noqa: E731
            return self._looked_up(dtype, lists(out_features, width, dtype, make))
        step, parts = pieces(in_features), []
        for start in range(0, out_features, step):
            rows = slice(start, start + step)
            codes = unpack(self.words[rows], self.bits, in_features).reshape(-1, scales.shape[1], self.group_size)
            sums = codes.astype(mx.float32) * scales[rows] + offsets[rows]
            parts.append(sums.astype(dtype).reshape(-1, in_features))
        return mx.concatenate(parts) if len(parts) > 1 else parts[0]
