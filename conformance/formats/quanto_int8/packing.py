"""quanto's ``qint8``, packed and taken apart in NumPy.

Codes are signed bytes in the file; here they are counted from -128, so that they are unsigned. Source: optimum-quanto
0.2.7, ``tensor/qbytes.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ..parts import Config, Integer, Tensors

WIDTHS = (8,)
METHOD, QINT8 = "quanto", "qint8"
CODES, SCALES = "weight._data", "weight._scale"
ZERO = 128
# What quanto writes beside the config, and the key under which it is handed on.
MAP, KEY = "quanto_qmap.json", "quantization_map"


def described(weights: str = QINT8, activations: str | None = "none") -> dict[str, Any]:
    return {"quant_method": METHOD, "weights": weights, "activations": activations}


def config(bits: int, group_size: int) -> dict[str, Any]:
    return described()


def config_of(config: Config, module: str) -> dict[str, Any]:
    own = (config.get(KEY) or {}).get(module)
    return dict(config) if own is None else {"quant_method": METHOD} | dict(own)


def group_size(config: Config, in_features: int) -> int:
    return in_features


def pack(codes: np.ndarray, zeros: np.ndarray, scales: Array, *, bits: int = 8) -> dict[str, Array]:
    """The tensors of codes [out, in] and scales [1, out]; the zero point is in the middle, and not stored."""
    return {
        CODES: Array.of((codes.astype(np.int64) - ZERO).astype(np.int8)),
        SCALES: Array(scales.dtype, np.ascontiguousarray(scales.bits.T)),
    }


def parts(config: Config, tensors: Tensors) -> Integer:
    """A sound module taken apart."""
    q, stored = tensors[CODES].bits.astype(np.int64) + ZERO, tensors[SCALES]
    # Without axes where there is one output.
    scales = Array(stored.dtype, stored.bits.reshape(1, -1))
    return Integer.of(q, np.full(scales.shape, ZERO, np.int64), scales, np.zeros(q.shape[1], np.int64), 8)
