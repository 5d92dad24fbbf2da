"""What the arithmetic of torchao's NVFP4 is enumerated on: every code with every scale, under one of the matrix."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...bits.array import Array
from ..nvfp4.domain import UnderOne
from .packing import parts, stored

# Codes twice, the second time in the other half of each byte.
_CODES = np.concatenate([np.arange(16), np.roll(np.arange(16), 1)])


@dataclass(frozen=True)
class Under(UnderOne):
    """One output a scale; ``whole`` is no scale of the matrix where it is 0."""

    def pack(self, dtype: str, scales: np.ndarray) -> dict[str, Array]:
        codes = np.broadcast_to(_CODES, (len(scales), len(_CODES)))
        bytes_ = np.broadcast_to(scales[:, None], (len(scales), 2))
        return stored(self.settings, codes, bytes_, self.whole or None)

    def expected(self, dtype: str, scales: np.ndarray, output: str | None) -> Array:
        """A product a scale and code, by the definition, then laid out."""
        one = parts(self.settings, self.pack(dtype, scales))
        codes = np.broadcast_to(np.arange(16), (len(scales), 16))
        table = replace(one, q=codes, s=one.s[:, :1], block=(1, 16)).dense(output)
        return Array(table.dtype, table.bits[:, _CODES])
