"""Numbers that depend on a name alone: the same for everybody, for good."""

from __future__ import annotations

from hashlib import shake_256

import numpy as np

from ..bits.array import Array

# Exponent bits, mantissa bits, and the biased exponent of 1.
_LAYOUT = {"float16": (5, 10, 15), "bfloat16": (8, 7, 127), "float32": (8, 23, 127)}


class Draw:
    """A stream of SHAKE-256 of a name."""

    def __init__(self, name: str) -> None:
        self._name, self._taken = name, 0

    def below(self, limit: int, *shape: int) -> np.ndarray:
        """int64 in [0, limit); the bias of a remainder of 64 bits is of no concern here."""
        self._taken += 1
        size = int(np.prod(shape))
        data = shake_256(f"{self._name}/{self._taken}".encode()).digest(8 * size)
        drawn = np.frombuffer(data, "<u8")
        # The same of a power of two, and much faster.
        rest = drawn & np.uint64(limit - 1) if limit & (limit - 1) == 0 else drawn % np.uint64(limit)
        return rest.astype(np.int64).reshape(shape)

    def shuffled(self, values: np.ndarray) -> np.ndarray:
        return values[np.argsort(self.below(2**62, len(values)), kind="stable")]

    def scales(self, dtype: str, kind: str, *shape: int) -> Array:
        """Finite scales of a kind: exponents around 2**-8, or at an end of the range."""
        exponent_bits, mantissa_bits, one = _LAYOUT[dtype]
        top = (1 << exponent_bits) - 2
        low, count = {
            "ordinary": (one - 10, 12),
            "negative": (one - 10, 12),
            "subnormal": (0, 1),
            "huge": (top - 4, 5),
            "zero": (0, 1),
            "any-finite": (0, top + 1),
        }[kind]
        exponent = self.below(count, *shape) + low
        mantissa = self.below(1 << mantissa_bits, *shape) * (kind != "zero")
        sign = self.below(2, *shape) if kind in ("zero", "any-finite", "huge") else np.full(shape, kind == "negative")
        bits = (sign.astype(np.int64) << (exponent_bits + mantissa_bits)) | (exponent << mantissa_bits) | mantissa
        return Array(dtype, bits.astype(np.uint32 if dtype == "float32" else np.uint16))
