"""GPTQ."""

from __future__ import annotations

import re

import numpy as np

from ..bits.array import Array
from ..bits.fields import fields, words
from .parts import Config, Tensors


def gptq_tensors(codes: np.ndarray, zeros: np.ndarray, scales: Array, g_idx: np.ndarray | None) -> dict[str, Array]:
    """A GPTQ module: codes [out, in] packed along ``in``, zero points [groups, out] minus one along ``out``."""
    tensors = {
        "qweight": Array.of(np.ascontiguousarray(words(codes).T)),
        "qzeros": Array.of(words((zeros.astype(np.int64) - 1) % 16)),
        "scales": scales,
    }
    return tensors if g_idx is None else tensors | {"g_idx": Array.of(g_idx.astype(np.int32))}


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
