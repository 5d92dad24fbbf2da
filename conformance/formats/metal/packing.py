"""transformers' ``metal``, packed and taken apart in NumPy.

Source: transformers 5.23.0, ``integrations/metal_quantization.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.rounding import nearest, odd_sum
from ..offset import Offset, scaled_zeros
from ..parts import Config, Tensors

METHOD = "metal"
WIDTHS = (4, 2, 8)


@dataclass(frozen=True)
class Steps(Offset):
    """``W = RN(RN32(RN32(q * s) + b))``."""

    def with_(self, **changes: Any) -> Steps:
        return replace(self, **changes)

    def dense(self, dtype: str | None) -> Array:
        s, b = self.s[self.g].T, self.b[self.g].T
        with np.errstate(over="ignore", invalid="ignore"):
            products = nearest(self.q * s, "float32").float64()
            return nearest(nearest(odd_sum(products, b), "float32").float64(), dtype or self.dtype)


def config(bits: int, group_size: int) -> dict[str, Any]:
    """The plainest ``quantization_config``."""
    return {"quant_method": METHOD, "bits": bits, "group_size": group_size, "modules_to_not_convert": None}


def config_of(config: Config, module: str) -> dict[str, Any]:
    """All modules of a checkpoint are alike."""
    return dict(config)


def width(config: Config) -> Any:
    said = config.get("bits")
    return 4 if said is None else said


def group_size(config: Config, in_features: int) -> int:
    size = config.get("group_size")
    return 64 if size is None else int(size)


def packed(codes: np.ndarray, bits: int) -> Array:
    """uint32 [out, in * bits / 32], the first code of a word lowest."""
    held = 32 // bits
    places = codes.reshape(len(codes), -1, held).astype(np.uint64) << np.arange(0, 32, bits, dtype=np.uint64)
    return Array.of(places.sum(axis=2).astype(np.uint32))


def pack(codes: np.ndarray, zeros: np.ndarray, scales: Array, *, bits: int = 4) -> dict[str, Array]:
    """The tensors of codes [out, in] and zero points [groups, out], which become biases as producers make them."""
    return pack_offsets(codes, scales, scaled_zeros(zeros, scales), bits=bits)


def pack_offsets(codes: np.ndarray, scales: Array, offsets: Array, *, bits: int = 4) -> dict[str, Array]:
    """The same of offsets [groups, out]."""
    own = {
        name: Array(array.dtype, np.ascontiguousarray(array.bits.T))
        for name, array in (("scales", scales), ("qbiases", offsets))
    }
    return {"weight": packed(codes, bits)} | own


def parts(config: Config, tensors: Tensors) -> Steps:
    """A sound module taken apart."""
    bits = int(width(config))
    words = tensors["weight"].bits.view(np.uint32).astype(np.int64)
    codes = (words[..., None] >> np.arange(0, 32, bits)) & ((1 << bits) - 1)
    q = codes.reshape(len(words), -1)
    s, b = (tensors[name].float64().T for name in ("scales", "qbiases"))
    g = np.arange(q.shape[1]) // group_size(config, q.shape[1])
    return Steps(q, s, b, g, tensors["scales"].dtype, bits)
