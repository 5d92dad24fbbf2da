"""BitNet, packed and taken apart in NumPy, and the configs that describe it.

Codes are counted from -1, so that they are unsigned. Source: transformers 5.23.0, ``integrations/bitnet.py``
(``pack_weights``, ``BitLinear``, ``AutoBitLinear``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.rounding import nearest
from ..parts import Config, Integer, Tensors

WIDTHS = (2,)
METHOD, CLASS, MODE, NORM = "bitnet", "linear_class", "quantization_mode", "use_rms_norm"
# What transformers assumes of the class first.
FORMS = DIVIDED, MULTIPLIED = "bitlinear", "autobitlinear"
CODES, SCALE = "weight", "weight_scale"
ZERO, HELD = 1, 4


@dataclass(frozen=True)
class Quotient(Integer):
    """``W = RN((q - z) / s)``. A float64 quotient is so near to the true one that no rounding can tell them apart."""

    def dense(self, dtype: str | None) -> Array:
        return nearest((self.q - self.z[self.g].T) / self.s[self.g].T, dtype or self.dtype)

    def step(self) -> np.ndarray:
        return 1 / np.abs(self.s)[self.g].T

    def triple(self) -> Integer:
        return Integer(self.q, self.z, nearest(1 / self.s, self.dtype).float64(), self.g, self.dtype, self.bits)

    def formula(self, output: int, channel: int) -> str:
        q = int(self.q[output, channel])
        return f"(q - z) / s = ({q} - {ZERO}) / {float(self.s[0, output])!r}"


def described(form: str = DIVIDED, **changes: Any) -> dict[str, Any]:
    return {"quant_method": METHOD, CLASS: form, MODE: "offline", "modules_to_not_convert": ["lm_head"]} | changes


def config(bits: int, group_size: int = -1) -> dict[str, Any]:
    return described()


def form_of(config: Config) -> Any:
    said = config.get(CLASS)
    return DIVIDED if said is None else said


def config_of(config: Config, module: str) -> dict[str, Any]:
    """All modules of a checkpoint are alike."""
    return dict(config)


def group_size(config: Config, in_features: int) -> int:
    return in_features


def pack(codes: np.ndarray, zeros: np.ndarray, scales: Array, *, bits: int = 2) -> dict[str, Array]:
    """The tensors of codes [out, in], a multiple of 4 outputs, and scales of which the first one counts."""
    quarters = codes.astype(np.uint8).reshape(HELD, -1, codes.shape[1])
    places = (np.arange(HELD) * bits).astype(np.uint8)[:, None, None]
    octets = np.bitwise_or.reduce((quarters << places).astype(np.uint8), axis=0)
    return {CODES: Array.of(octets), SCALE: Array(scales.dtype, scales.bits.reshape(-1)[:1].copy())}


def parts(config: Config, tensors: Tensors) -> Integer:
    """A sound module taken apart."""
    octets, stored = tensors[CODES].bits.astype(np.int64), tensors[SCALE]
    q = np.concatenate([(octets >> (2 * quarter)) & 3 for quarter in range(HELD)])
    s = np.broadcast_to(stored.float64().reshape(1, 1), (1, len(q)))
    kind = Quotient if form_of(config) == DIVIDED else Integer
    return kind(q, np.full(s.shape, ZERO, np.int64), s, np.zeros(q.shape[1], np.int64), stored.dtype, 2)
