"""torchao's integers in bytes, packed and taken apart in NumPy, and the configs that describe them.

Codes and zero points are signed bytes in the file; here they are counted from -128, so that they are unsigned. Source:
torchao 0.18.0, ``quantization/quant_primitives.py``, ``_dequantize_affine``; ``prototype/safetensors`` for what the
header of a file says, which is here the ``metadata`` of a config.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.rounding import nearest
from ..parts import Config, Integer, Tensors

WIDTHS = (8,)
METHOD = "torchao"
BYTES, NARROW = "Int8Tensor", "IntxUnpackedToInt8Tensor"
CODES, SCALES, ZEROS = "_weight_qdata", "_weight_scale", "_weight_zero_point"


@dataclass(frozen=True)
class Stepped(Integer):
    """``W = RN(RN32(s * (q - z)))`` in ``dtype``, whatever the dtype ``stored`` of the scales is."""

    stored: str = "float32"

    def dense(self, dtype: str | None) -> Array:
        exact = self.s[self.g].T * (self.q - self.z[self.g].T)
        return nearest(nearest(exact, "float32").float64(), dtype or self.dtype)

    def triple(self) -> Integer:
        return Integer(self.q, self.z, self.s, self.g, self.stored, self.bits)


def entry(
    kind: str = BYTES, block: tuple[int, int] = (1, 32), dtype: str = "bfloat16", **changes: Any
) -> dict[str, Any]:
    """What the header of a file says of one weight, before it is made a text; ``changes`` are attributes."""
    said = {"block_size": list(block), "dtype": {"_type": "torch.dtype", "_data": dtype}}
    if kind == NARROW:
        own: dict[str, Any] = {
            "target_dtype": {"_type": "torch.dtype", "_data": "int4"},
            "activation_quantization": None,
        }
    else:
        own = {"act_quant_kwargs": None, "reduce_range": False}
    return {"_type": kind, "_data": own | said | changes, "_tensor_data_names": ["qdata", "scale", "zero_point"]}


def described(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A config with such an entry."""
    recipe = {"_type": "Int8WeightOnlyConfig", "_version": 2, "_data": {"group_size": None}}
    return {"quant_method": METHOD, "quant_type": {"default": recipe}, "metadata": {"weight": json.dumps(entry)}}


def config(bits: int, group_size: int) -> dict[str, Any]:
    return described(entry(block=(1, group_size), dtype="float16"))


def without_zeros(entry: Mapping[str, Any]) -> dict[str, Any]:
    return dict(entry) | {"_tensor_data_names": ["qdata", "scale"]}


def said(config: Config) -> dict[str, Any]:
    """The entry of a sound module's config."""
    found: dict[str, Any] = json.loads(config["metadata"]["weight"])
    return found


def config_of(config: Config, module: str) -> dict[str, Any]:
    entries = config.get("metadata") or {}
    name = f"{module}.weight" if f"{module}.weight" in entries else "weight"
    return dict(config) | {"metadata": {"weight": entries[name]}}


def block_of(config: Config) -> tuple[int, int]:
    rows, columns = said(config)["_data"]["block_size"]
    return int(rows), int(columns)


def group_size(config: Config, in_features: int) -> int:
    return block_of(config)[1]


def pack(
    codes: np.ndarray, zeros: np.ndarray, scales: Array, *, bits: int = 8, rows: int = 1, without: bool = False
) -> dict[str, Array]:
    """The tensors of codes [out, in], zero points and scales [groups, out], of which ``rows`` neighbours are alike."""

    def spread(values: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(values.T[::rows])

    tensors = {
        CODES: Array.of((codes.astype(np.int64) - 128).astype(np.int8)),
        SCALES: Array(scales.dtype, spread(scales.bits)),
    }
    return tensors if without else tensors | {ZEROS: Array.of(spread((zeros.astype(np.int64) - 128).astype(np.int8)))}


def parts(config: Config, tensors: Tensors) -> Stepped:
    """A sound module taken apart."""
    rows, columns = block_of(config)
    stored = tensors[SCALES]
    q = tensors[CODES].bits.astype(np.int64) + 128
    scales = Array(stored.dtype, np.repeat(stored.bits, rows, axis=0).T.copy())
    z = np.full(scales.shape, 128, np.int64)
    if ZEROS in tensors:
        z = np.repeat(tensors[ZEROS].bits, rows, axis=0).T.astype(np.int64) + 128
    g = np.arange(q.shape[1]) // columns
    dtype = said(config)["_data"]["dtype"]["_data"]
    return Stepped(q, z, scales.float64(), g, dtype, 8, stored.dtype)
