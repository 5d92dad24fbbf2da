"""bitsandbytes' LLM.int8, packed and taken apart in NumPy.

Source: bitsandbytes 0.50.2, ``_ops.py``, ``int8_vectorwise_dequant``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.rounding import nearest
from ..dialects import bitsandbytes as dialect
from ..parts import Config, Tensors

WIDTHS = (8,)
# Of 127, as upstream writes it down; it is rounded to float32 before it multiplies.
RECIPROCAL = 7.874015718698502e-3


@dataclass(frozen=True)
class Rows:
    """``W = RN(RN32(RN32(q * s) * factor))``: codes ``q`` [out, in], scales ``s`` [out]."""

    q: np.ndarray
    s: np.ndarray
    factor: float = RECIPROCAL
    dtype: str = "float32"

    def with_(self, **changes: Any) -> Rows:
        return replace(self, **changes)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.q.shape

    def dense(self, dtype: str | None) -> Array:
        factor = float(np.float32(self.factor))
        with np.errstate(over="ignore", invalid="ignore"):
            products = nearest(self.q * self.s[:, None], "float32").float64()
            return nearest(nearest(products * factor, "float32").float64(), dtype or self.dtype)

    def step(self) -> np.ndarray:
        return np.abs(self.s * self.factor)[:, None]

    def triple(self) -> None:
        """No one scale gives what two products do."""
        return None

    def formula(self, output: int, channel: int) -> str:
        return f"(q * s) * {self.factor!r} = ({int(self.q[output, channel])} * {float(self.s[output])!r}) * ..."


def config(bits: int, group_size: int) -> dict[str, Any]:
    return dialect.config("int8")


def config_of(config: Config, module: str) -> dict[str, Any]:
    return dict(config)


def pack(codes: np.ndarray, zeros: np.ndarray, scales: Array, *, bits: int = 8) -> dict[str, Array]:
    """Signed codes [out, in] and scales [out]; there are no zero points."""
    return {
        "weight": Array.of(codes.astype(np.int8)),
        "SCB": Array(scales.dtype, scales.bits.reshape(-1)),
        "weight_format": Array.of(np.array(0, np.uint8)),
    }


def parts(config: Config, tensors: Tensors) -> Rows:
    """A sound module taken apart."""
    return Rows(tensors["weight"].bits.astype(np.int64), tensors["SCB"].float64())


def group_size(config: Config, in_features: int) -> int:
    return in_features
