"""A sound module taken apart in NumPy: codes, zero points, scales and groups, by the format and the policies.

The third decoder of the project, the plainest: what mutants spoil, what affine triples are held to, and what a report
quotes beside a wrong weight. Upstream's vectors hold it, like every other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .arrays import Array
from .contract import fields, natural, nearest

Config = Mapping[str, Any]
Tensors = Mapping[str, Array]


def format_of(config: Config) -> str | None:
    """The format a config names or implies; None for any that is not decoded here."""
    method = config.get("quant_method") or config.get("method")
    if method is None:
        method = "awq" if "w_bit" in config else "gptq" if "desc_act" in config else None
    return method if method in ("awq", "gptq") else None


@dataclass(frozen=True)
class Parts:
    """Codes ``q`` [out, in], zero points ``z`` and scales ``s`` [groups, out], the group ``g`` of each channel."""

    q: np.ndarray
    z: np.ndarray
    s: np.ndarray
    g: np.ndarray
    dtype: str

    @classmethod
    def of(cls, q: np.ndarray, z: np.ndarray, scales: Array, g: np.ndarray) -> Parts:
        return cls(q, z, scales.float64(), g, scales.dtype)

    def with_(self, **changes: Any) -> Parts:
        return replace(self, **changes)

    def dense(self, dtype: str | None) -> Array:
        return nearest(self.s[self.g].T * (self.q - self.z[self.g].T), dtype or self.dtype)


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


def steps(got: Array, expected: Array, found: Parts) -> float:
    """The largest error in quantisation steps ``|s|``: a wrong code or zero point is a whole step off, rounding is not.

    Infinite where one of the two weights is not finite, or a scale of zero gave more than zero.
    """
    step = np.abs(found.s)[found.g].T
    with np.errstate(invalid="ignore", divide="ignore"):
        # -0.0 for 0.0 and infinity for infinity are no distance, whatever the step.
        error = np.where(got.float64() == expected.float64(), 0.0, np.abs(got.float64() - expected.float64()))
        largest = float(np.max(np.where(error == 0, 0.0, error / step), initial=0.0))
    return largest if np.isfinite(largest) else float("inf")


def group_size(config: Config, in_features: int) -> int:
    default = 128 if format_of(config) == "awq" else -1
    size: Any = config.get("group_size", config.get("q_group_size", default))
    return in_features if size == -1 else int(size)


def gptq_zeros(config: Config, tensors: Tensors) -> np.ndarray:
    """Zero points [groups, out] by the written policies."""
    if "qzeros" not in tensors:
        return np.full(tensors["scales"].shape, 8, np.int64)
    if borrows(config):
        whole = tensors["qzeros"].bits.view(np.uint32) + np.uint32(0x11111111)
        return fields(whole.view(np.int32), axis=1).astype(np.int64)
    stored = fields(tensors["qzeros"].bits, axis=1).astype(np.int64)
    label = config.get("checkpoint_format") or config.get("format") or "gptq"
    if config.get("sym") is True and (stored == (8 if label == "gptq" else 7)).all():
        return np.full_like(stored, 8)
    return (stored + 1) % 16


def borrows(config: Config) -> bool:
    """Whether GPTQModel 0.9 or later wrote the zero points of an asymmetric file."""
    quantizer = str((config.get("meta") or {}).get("quantizer") or "")
    numbers = [int(number) for number in re.findall(r"\d+", quantizer)]
    return "gptqmodel" in quantizer and numbers[:2] >= [0, 9] and config.get("sym") is False
