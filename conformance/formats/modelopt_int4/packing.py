"""ModelOpt's INT4 (AWQ), packed and taken apart in NumPy: a byte holds two outputs, the even one in its low half.

Sources: nvidia-modelopt 0.47.0, ``torch/export/quant_utils.py``: ``pack_int4_in_uint8`` for the bytes,
``_update_pre_quant_scale`` for what the scales of inputs make of a weight. Codes are signed in the file; here they are
counted from -8, so that they are unsigned.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.rounding import nearest
from ..dialects.modelopt import METHOD
from ..parts import Config, Integer, Tensors

WIDTHS = (4,)
ALGORITHM = "W4A16_AWQ"
ZERO = 8


@dataclass(frozen=True)
class Scaled:
    """``W = RN(RN32(RN32(s * (q - z)) * c))``: a matrix of codes, and the scale ``c`` [in] of each input."""

    matrix: Integer
    c: np.ndarray
    dtype: str = "float32"

    def with_(self, **changes: Any) -> Scaled:
        return replace(self, **changes)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.matrix.shape

    def dense(self, dtype: str | None) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):
            products = self.matrix.dense("float32").float64() * self.c
            return nearest(nearest(products, "float32").float64(), dtype or self.dtype)

    def step(self) -> np.ndarray:
        return self.matrix.step() * np.abs(self.c)

    def triple(self) -> None:
        """Inputs of a group have scales of their own, and an affine form has one for all."""
        return None

    def formula(self, output: int, channel: int) -> str:
        return f"({self.matrix.formula(output, channel)}) * {float(self.c[channel])!r}"


def modelopt(group_size: int = -1, **changes: Any) -> dict[str, Any]:
    """-1 says nothing of the size of groups, as ``config.json`` does not."""
    said = {} if group_size == -1 else {"group_size": group_size}
    return {"quant_method": METHOD, "quant_algo": ALGORITHM} | said | changes


def config(bits: int, group_size: int) -> dict[str, Any]:
    return modelopt(group_size)


def config_of(config: Config, module: str) -> dict[str, Any]:
    return dict(config)


def pack(
    codes: np.ndarray, zeros: np.ndarray, scales: Array, *, bits: int = 4, inputs: Array | None = None
) -> dict[str, Array]:
    """Codes [out, in] counted from -8, scales [groups, out], and of ``inputs`` [in]; zero points are 8, always."""
    signed = (codes.astype(np.int64) - ZERO) & 15
    tensors = {
        "weight": Array.of((signed[::2] | signed[1::2] << 4).astype(np.uint8)),
        "weight_scale": Array(scales.dtype, np.ascontiguousarray(scales.bits.T)),
    }
    return tensors if inputs is None else tensors | {"pre_quant_scale": inputs}


def parts(config: Config, tensors: Tensors) -> Integer | Scaled:
    """A sound module taken apart."""
    packed, stored = tensors["weight"].bits.astype(np.int64), tensors["weight_scale"]
    halves = np.stack([packed & 15, packed >> 4], axis=1).reshape(2 * len(packed), -1)
    scales = Array(stored.dtype, np.ascontiguousarray(stored.bits.T))
    g = np.arange(packed.shape[1]) // group_size(config, packed.shape[1], len(scales.bits))
    matrix = Integer.of((halves + ZERO) & 15, np.full(scales.shape, ZERO), scales, g)
    inputs = tensors.get("pre_quant_scale")
    return matrix if inputs is None else Scaled(matrix, inputs.float64())


def group_size(config: Config, in_features: int, groups: int = 1) -> int:
    return int(config.get("group_size") or in_features // groups)
