"""The exactness contract in integers and NumPy float64: what a decoder must give, written from the formats' own words.

It shares nothing with any subject. A product ``s * (q - z)`` of a scale (at most 24 significant bits) and a difference
(at most 5) is exact in float64, so rounding it once is all there is to the arithmetic.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..bits.array import Array
from ..bits.fields import fields
from .awq_gemm import awq_tensors, natural
from .gptq import gptq_tensors, gptq_zeros
from .parts import Config, Parts, Tensors

FORMATS = ("awq", "gptq")


def config(format: str, group_size: int) -> dict[str, object]:
    """The plainest ``quantization_config`` of an asymmetric module."""
    if format == "gptq":
        return {"quant_method": "gptq", "bits": 4, "group_size": group_size, "sym": False, "desc_act": False}
    return {"quant_method": "awq", "bits": 4, "group_size": group_size, "version": "gemm", "zero_point": True}


def tensors(format: str, codes: np.ndarray, zeros: np.ndarray, scales: Array) -> dict[str, Array]:
    """A module with consecutive groups, in either format."""
    return gptq_tensors(codes, zeros, scales, None) if format == "gptq" else awq_tensors(codes, zeros, scales)


def format_of(config: Config) -> str | None:
    """The format a config names or implies; None for any that is not decoded here."""
    method = config.get("quant_method") or config.get("method")
    if method is None:
        method = "awq" if "w_bit" in config else "gptq" if "desc_act" in config else None
    return method if method in ("awq", "gptq") else None


def parts(config: Config, tensors: Tensors) -> Parts:
    """A sound module taken apart."""
    scales = tensors["scales"]
    if format_of(config) == "awq":
        q = natural(fields(tensors["qweight"].bits, axis=1)).T.astype(np.int64)
        z = natural(fields(tensors["qzeros"].bits, axis=1)).astype(np.int64)
        g = np.arange(q.shape[1]) // group_size(config, q.shape[1])
    else:
        q = fields(tensors["qweight"].bits, axis=0).T.astype(np.int64)
        q = q[:, : len(tensors["g_idx"].bits)] if "g_idx" in tensors else q
        z = gptq_zeros(config, tensors)
        g = np.arange(q.shape[1]) // group_size(config, q.shape[1])
        g = tensors["g_idx"].bits.astype(np.int64) if "g_idx" in tensors else g
    return Parts.of(q, z, scales, g)


def group_size(config: Config, in_features: int) -> int:
    default = 128 if format_of(config) == "awq" else -1
    size: Any = config.get("group_size", config.get("q_group_size", default))
    return in_features if size == -1 else int(size)
