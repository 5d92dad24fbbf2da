"""What the arithmetic of torchao's bytes is enumerated on: every difference with every scale, in two roundings."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.rounding import nearest
from ..domain import IntegerDomain
from .packing import described, entry


class SteppedDomain(IntegerDomain):
    """The weights are bfloat16, whatever the scales are: float32 scales round twice."""

    def config(self) -> dict[str, Any]:
        return described(entry(block=(1, self.group_size), dtype="bfloat16"))

    def expected(self, dtype: str, scales: np.ndarray, output: str | None) -> Array:
        top = (1 << self.bits) - 1
        values = Array(dtype, scales).float64()[:, None] * np.arange(-top, top + 1, dtype=np.float64)
        table = nearest(nearest(values, "float32").float64(), output or "bfloat16")
        return Array(table.dtype, np.take(table.bits, self.differences + top, axis=1))
