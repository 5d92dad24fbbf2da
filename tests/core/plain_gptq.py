"""GPTQ said again in Python integers, from the rules alone: what a writer packs, and what its weights are.

Codes and zero points are fields of one long little-endian integer; scales are rounded through exact fractions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import numpy as np

# Subtracted from each word by GPTQModel's writers: from every word alike, and at 3 bits before 7.0.0 by its place.
SUBTRACTED = {2: (0x55555555,), 3: (0x24924924, 0x92492492, 0x49249249), 4: (0x11111111,), 8: (0x01010101,)}


def to_words(fields: list[int], bits: int) -> list[int]:
    whole = sum(field << bits * place for place, field in enumerate(fields))
    count = -(-len(fields) * bits // 32)
    return [whole >> 32 * place & 0xFFFFFFFF for place in range(count)]


def matrix(rows: list[list[int]]) -> np.ndarray:
    return np.array(rows, dtype=np.uint32).view(np.int32)


@dataclass
class Module:
    """True numbers of a module: codes [out, in], zero points and scales [groups, out], the group of each input."""

    bits: int
    codes: np.ndarray
    zeros: np.ndarray
    scales: np.ndarray
    group: np.ndarray

    def qweight(self) -> np.ndarray:
        return matrix([to_words(row.tolist(), self.bits) for row in self.codes]).T

    def qzeros(self, how: str) -> np.ndarray:
        """Packed zero points; ``how`` they are stored: ``v1`` (less one), ``v2`` (as they are), ``borrow``."""
        less = 1 if how == "v1" else 0
        fields = (self.zeros.astype(np.int64) - less) % (1 << self.bits)
        rows = [to_words(row.tolist(), self.bits) for row in fields]
        if how == "borrow":
            steps = SUBTRACTED[self.bits]
            rows = [[(word - steps[place % len(steps)]) % (1 << 32) for place, word in enumerate(row)] for row in rows]
        return matrix(rows)

    def weight(self) -> np.ndarray:
        """``RN(s * (q - z))`` as the dtype of the scales: exact in float64, so rounded once."""
        difference = self.codes.astype(np.int64) - self.zeros.astype(np.int64)[self.group].T
        with np.errstate(over="ignore"):
            return (self.scales.astype(np.float64)[self.group].T * difference).astype(self.scales.dtype)

    def tensors(self, how: str | None = "v1", g_idx: bool = True) -> dict[str, mx.array]:
        found = {"qweight": self.qweight(), "scales": self.scales}
        found |= {"qzeros": self.qzeros(how)} if how else {}
        found |= {"g_idx": self.group.astype(np.int32)} if g_idx else {}
        return {name: mx.array(np.ascontiguousarray(array)) for name, array in found.items()}


def config(bits: int, group_size: int, **more: Any) -> dict[str, Any]:
    return {"quant_method": "gptq", "bits": bits, "group_size": group_size, "desc_act": False, "sym": False} | more


def random_module(
    rng: np.random.Generator,
    bits: int,
    out: int,
    in_features: int,
    group_size: int,
    zeros: int | None = None,
    dtype: type = np.float16,
) -> Module:
    """Every zero point equal to ``zeros``, or any. Groups are consecutive, the last one possibly short."""
    size = in_features if group_size == -1 else group_size
    group = np.arange(in_features) // size
    shape = (int(group[-1]) + 1, out)
    drawn = rng.integers(0, 1 << bits, shape)
    return Module(
        bits,
        rng.integers(0, 1 << bits, (out, in_features)),
        drawn if zeros is None else np.full(shape, zeros),
        ((rng.random(shape) - 0.5) / 8).astype(dtype),
        group,
    )
