"""A sound module taken apart in NumPy: codes, zero points, scales and groups, by the format and the policies.

The third decoder of the project, the plainest: what mutants spoil, what affine triples are held to, and what a report
quotes beside a wrong weight. Upstream's vectors hold it, like every other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..bits.array import Array
from ..bits.rounding import nearest

Config = Mapping[str, Any]
Tensors = Mapping[str, Array]


@dataclass(frozen=True)
class Parts:
    """Codes ``q`` [out, in] of ``bits`` bits, zero points ``z`` and scales ``s`` [groups, out], the group ``g`` of each
    channel."""

    q: np.ndarray
    z: np.ndarray
    s: np.ndarray
    g: np.ndarray
    dtype: str
    bits: int = 4

    @classmethod
    def of(cls, q: np.ndarray, z: np.ndarray, scales: Array, g: np.ndarray, bits: int = 4) -> Parts:
        return cls(q, z, scales.float64(), g, scales.dtype, bits)

    def with_(self, **changes: Any) -> Parts:
        return replace(self, **changes)

    def dense(self, dtype: str | None) -> Array:
        return nearest(self.s[self.g].T * (self.q - self.z[self.g].T), dtype or self.dtype)


def steps(got: Array, expected: Array, found: Parts) -> float:
    """The largest error in quantisation steps ``|s|``: a wrong code or zero point is a whole step off, rounding is not.

    Infinite where one of the two weights is not finite, or a scale of zero gave more than zero.
    """
    step = np.abs(found.s)[found.g].T
    with np.errstate(invalid="ignore", divide="ignore"):
        # -0.0 for 0.0 and infinity for infinity are no distance, whatever the step.
        error = np.where(got.float64() == expected.float64(), 0.0, np.abs(got.float64() - expected.float64()))
        largest = float(np.max(np.where(error == 0, 0.0, error / step), initial=0.0))
    return largest if np.isfinite(largest) else float("inf")
