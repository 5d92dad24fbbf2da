"""A sound module taken apart in NumPy, by the format's definition and the written policies.

The third decoder of the project, the plainest: what mutants spoil, what affine triples are held to, and what a report
quotes beside a wrong weight. Upstream's vectors hold it, like every other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from ..bits.array import Array
from ..bits.rounding import nearest

Config = Mapping[str, Any]
Tensors = Mapping[str, Array]


class Parts(Protocol):
    """The numbers of one matrix [out, in], whatever they are."""

    @property
    def shape(self) -> tuple[int, ...]:
        """[out, in]."""
        ...

    @property
    def dtype(self) -> str:
        """The dtype that the format gives the weight, unless another is asked for."""
        ...

    def dense(self, dtype: str | None) -> Array:
        """The weight, by the format's own roundings; ``dtype`` None is its own."""
        ...

    def step(self) -> np.ndarray:
        """What one code is worth, float64 [out, in] or broadcast to it: half of it tells rounding from a fault."""
        ...

    def triple(self) -> Affine | None:
        """The codes, scales and offsets that an affine form must keep; None where the weight has none."""
        ...

    def formula(self, output: int, channel: int) -> str:
        """The formula of one weight with its numbers."""
        ...


class Affine(Protocol):
    """``s * q + b`` by codes ``q`` [out, in], scales [groups, out] and the group ``g`` of each channel."""

    @property
    def q(self) -> np.ndarray: ...

    @property
    def s(self) -> np.ndarray: ...

    @property
    def g(self) -> np.ndarray: ...

    @property
    def bits(self) -> int: ...

    @property
    def dtype(self) -> str: ...

    def offsets(self) -> np.ndarray:
        """float64 [groups, out]: what an affine form's biases must be as near to as their dtype allows."""
        ...


@dataclass(frozen=True)
class Integer:
    """Codes ``q`` [out, in] of ``bits`` bits, zero points ``z`` and scales ``s`` [groups, out], the group ``g`` of each
    channel: ``W = RN(s * (q - z))``. Signed codes are counted from the least one, zero points with them."""

    q: np.ndarray
    z: np.ndarray
    s: np.ndarray
    g: np.ndarray
    dtype: str
    bits: int = 4

    @classmethod
    def of(cls, q: np.ndarray, z: np.ndarray, scales: Array, g: np.ndarray, bits: int = 4) -> Integer:
        return cls(q, z, scales.float64(), g, scales.dtype, bits)

    def with_(self, **changes: Any) -> Integer:
        return replace(self, **changes)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.q.shape

    def dense(self, dtype: str | None) -> Array:
        return nearest(self.s[self.g].T * (self.q - self.z[self.g].T), dtype or self.dtype)

    def step(self) -> np.ndarray:
        return np.abs(self.s)[self.g].T

    def offsets(self) -> np.ndarray:
        return -self.z * self.s

    def triple(self) -> Integer:
        return self

    def formula(self, output: int, channel: int) -> str:
        g = self.g[channel]
        s, q, z = float(self.s[g, output]), int(self.q[output, channel]), int(self.z[g, output])
        return f"s * (q - z) = {s!r} * ({q} - {z})"


def steps(got: Array, expected: Array, found: Parts) -> float:
    """The largest error in quantisation steps: a wrong code or zero point is a whole step off, rounding is not.

    Infinite where one of the two weights is not finite, or a scale of zero gave more than zero.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        # -0.0 for 0.0 and infinity for infinity are no distance, whatever the step.
        error = np.where(got.float64() == expected.float64(), 0.0, np.abs(got.float64() - expected.float64()))
        largest = float(np.max(np.where(error == 0, 0.0, error / found.step()), initial=0.0))
    return largest if np.isfinite(largest) else float("inf")
