"""Gemma's own integers in transformers, packed and taken apart in NumPy, and the configs that describe them.

Codes of 8 bits are signed in the file; here all are counted from the least one. Source: transformers 5.23.0,
``integrations/gemma_quant.py``, ``_unpack_int2``, ``_unpack_int4`` and ``QuantizedLinear._dequantize_weights``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.rounding import nearest
from ..parts import Config, Integer, Tensors

WIDTHS = (4, 2, 8)
METHOD, BITS, RULES = "gemma", "num_bits", "module_quant_configs"
LINEAR, EMBEDDING = ("weight", "weight_scale"), ("embedding_quantized", "embedding_scale")


@dataclass(frozen=True)
class Cast(Integer):
    """``W = RN(RN(s) * (q - z))``, both roundings to the dtype that is asked for."""

    def dense(self, dtype: str | None) -> Array:
        wanted = dtype or self.dtype
        values = self.q - self.z[self.g].T
        rounded, exact = nearest(self.s, wanted).float64()[self.g].T, self.s[self.g].T * values
        with np.errstate(invalid="ignore"):
            # A code that stands for 0 is 0, of the sign of its scale, even under one that is infinite.
            return nearest(np.where(values == 0, exact, rounded * values), wanted)

    def triple(self) -> Integer:
        return Integer(self.q, self.z, self.s, self.g, self.dtype, self.bits)


def config(bits: int, group_size: int = -1, **changes: Any) -> dict[str, Any]:
    return {
        "quant_method": METHOD,
        BITS: bits,
        RULES: None,
        "quantize_embeddings": False,
        "modules_to_not_convert": ["lm_head"],
    } | changes


def width_of(config: Config, module: str = "") -> Any:
    """Of a module by its name: of all patterns the one that matches furthest to the left, then the first of them."""
    rules = config.get(RULES) or {}
    found = [
        (match.start(), number, own)
        for number, (pattern, own) in enumerate(rules.items())
        if module and (match := re.search(pattern, module))
    ]
    own = min(found, key=lambda each: each[:2])[2] if found else {}
    return own.get(BITS, config.get(BITS, 4))


def config_of(config: Config, module: str) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key != RULES} | {BITS: width_of(config, module)}


def group_size(config: Config, in_features: int) -> int:
    return in_features


def pack(
    codes: np.ndarray, zeros: np.ndarray, scales: Array, *, bits: int = 4, embedding: bool = False
) -> dict[str, Array]:
    """The tensors of codes [out, in] and scales [1, out]; of zero points there is one, in the middle."""
    stored: np.ndarray = codes.astype(np.uint8)
    if bits == 8:
        stored = stored ^ np.uint8(0x80)
    else:
        held = 8 // bits
        fields = stored.reshape(len(codes), -1, held) << (np.arange(held) * bits).astype(np.uint8)
        stored = np.bitwise_or.reduce(fields.astype(np.uint8), axis=2)
    names = EMBEDDING if embedding else LINEAR
    values = np.ascontiguousarray(stored).view(np.int8) if bits == 8 else stored
    column = np.ascontiguousarray(scales.bits.reshape(-1, 1))
    return {names[0]: Array.of(values), names[1]: Array(scales.dtype, column)}


def parts(config: Config, tensors: Tensors) -> Cast:
    """A sound module taken apart."""
    bits = width_of(config)
    codes, scales = (tensors[name] for name in (EMBEDDING if EMBEDDING[0] in tensors else LINEAR))
    octets = codes.bits.view(np.uint8)
    if bits == 8:
        q = octets.astype(np.int64) ^ 0x80
    else:
        places = np.arange(0, 8, bits)
        q = ((octets[:, :, None].astype(np.int64) >> places) & ((1 << bits) - 1)).reshape(len(octets), -1)
    s = scales.float64().reshape(1, -1)
    z = np.full(s.shape, 1 << (bits - 1), np.int64)
    return Cast(q, z, s, np.zeros(q.shape[1], np.int64), scales.dtype, bits)
