"""What mutants are made of: a small decoder whose steps can be spoilt one by one, and ways to wrap a sound one.

A mutant that spoils values asks the sound subject first, so that what is refused stays refused: it then differs in its
one fault and in nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..arrays import Array
from ..contract import fields, natural, nearest
from .model import Ask, Config, Tensors, format_of

Decode = Callable[[Ask, Config, Tensors, str | None], Array]


@dataclass(frozen=True)
class Parts:
    """Codes ``q`` [out, in], zero points ``z`` and scales ``s`` [groups, out], the group ``g`` of each channel."""

    q: np.ndarray
    z: np.ndarray
    s: np.ndarray
    g: np.ndarray
    dtype: str

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
    return Parts(q, z, scales.float64(), g, scales.dtype)


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


def spoilt(change: Callable[[Parts, Config, Tensors], Parts]) -> Decode:
    """A decode with one of its parts changed."""

    def decode(ask: Ask, config: Config, tensors: Tensors, dtype: str | None) -> Array:
        ask(config, tensors, dtype)
        return change(parts(config, tensors), config, tensors).dense(dtype)

    return decode


def valued(value: Callable[[Parts, str], Array]) -> Decode:
    """A decode with sound parts and an arithmetic of its own."""

    def decode(ask: Ask, config: Config, tensors: Tensors, dtype: str | None) -> Array:
        ask(config, tensors, dtype)
        found = parts(config, tensors)
        return value(found, dtype or found.dtype)

    return decode


def afterwards(change: Callable[[Array], Array]) -> Decode:
    """A sound decode whose result is spoilt."""
    return lambda ask, config, tensors, dtype: change(ask(config, tensors, dtype))


def misread(change: Callable[[Config, Tensors], tuple[Config, Tensors]]) -> Decode:
    """A decode of something else than what is there."""

    def decode(ask: Ask, config: Config, tensors: Tensors, dtype: str | None) -> Array:
        ask(config, tensors, dtype)
        return ask(*change(config, tensors), dtype)

    return decode


def tolerant(change: Callable[[Config, Tensors], tuple[Config, Tensors]]) -> Decode:
    """A decode that takes what should be refused for something it knows; sound otherwise."""

    def decode(ask: Ask, config: Config, tensors: Tensors, dtype: str | None) -> Array:
        try:
            return ask(config, tensors, dtype)
        except Exception as refusal:
            return _anyway(lambda: ask(*change(config, tensors), dtype), refusal)

    return decode


def _anyway(answer: Callable[[], Array], refusal: Exception) -> Array:
    """An answer where the fault makes one possible; else the sound refusal, since falling over is not the fault."""
    try:
        return answer()
    except Exception:
        raise refusal from None


def without(config: Config, *keys: str) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in keys}
