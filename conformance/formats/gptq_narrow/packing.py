"""GPTQ in words of 8 and of 16 bits, packed and taken apart in NumPy.

The tensors are GPTQ's, in words that are narrower; no field crosses one. Version 1 of zero points is version 2 less
ones in every field of each word, as one subtraction: a zero point of 0 borrows from the field above it in its word.
Source: GPTQModel 7.7.0, ``nn_modules/qlinear`` and ``utils/model.py``; the policies: docs/policies.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from .. import flags as shared
from ..gptq.packing import config_of as dynamic
from ..gptq.packing import version
from ..parts import Config, Integer, Tensors
from ..spelt import written

WIDTHS = (4, 2, 8)
# Bits of a word by pack_dtype.
WORDS = {"int8": 8, "int16": 16}
_UNSIGNED = {8: np.uint8, 16: np.uint16}
_SIGNED = {8: np.int8, 16: np.int16}


def config(bits: int, group_size: int, word: str = "int8") -> dict[str, Any]:
    """The plainest ``quantization_config`` of an asymmetric module."""
    own = {"bits": bits, "group_size": group_size, "desc_act": False, "sym": False}
    return {"quant_method": "gptq", "checkpoint_format": "gptq", "pack_dtype": word} | own


def config_of(config: Config, module: str) -> dict[str, Any]:
    """By GPTQModel's rules, like all of its configs."""
    return dynamic(config, module)


def width(config: Config) -> int:
    return int(shared.width(config))


def word_of(config: Config) -> int:
    """Bits of a word."""
    return WORDS[str(config["pack_dtype"]).lower()]


def group_size(config: Config, in_features: int) -> int:
    found = written(config)
    size: Any = found.get("group_size", found.get("q_group_size", -1))
    return in_features if size == -1 else int(size)


def ones(bits: int, word: int) -> int:
    """A word with 1 in every field."""
    return ((1 << word) - 1) // ((1 << bits) - 1)


def words(fields: np.ndarray, bits: int, word: int) -> np.ndarray:
    """Unsigned words [rows, ceil(columns * bits / word)] of fields [rows, columns], filled up with zeros."""
    rows, columns = fields.shape
    each = word // bits
    padded = np.zeros((rows, -(-columns // each), each), np.uint32)
    padded.reshape(rows, -1)[:, :columns] = fields
    return (padded << np.arange(0, word, bits, dtype=np.uint32)).sum(axis=-1).astype(_UNSIGNED[word])


def fields(packed: np.ndarray, bits: int, word: int) -> np.ndarray:
    """Inverse of :func:`words`, int64, with what fills up the last word; words may be signed."""
    unsigned = np.ascontiguousarray(packed).view(_UNSIGNED[word]).astype(np.int64)
    spread = (unsigned[..., None] >> np.arange(0, word, bits)) & ((1 << bits) - 1)
    return spread.reshape(len(packed), -1)


def pack(
    codes: np.ndarray,
    zeros: np.ndarray,
    scales: Array,
    g_idx: np.ndarray | None = None,
    *,
    bits: int = 4,
    word: str = "int8",
    version: int = 1,
) -> dict[str, Array]:
    """The tensors of codes [out, in] and zero points [groups, out]."""
    size = WORDS[word]
    qzeros = words(zeros, bits, size)
    if version == 1:
        qzeros = qzeros - _UNSIGNED[size](ones(bits, size))
    tensors = {
        "qweight": Array.of(np.ascontiguousarray(words(codes, bits, size).T).view(_SIGNED[size])),
        "qzeros": Array.of(qzeros.view(_SIGNED[size])),
        "scales": scales,
    }
    return tensors if g_idx is None else tensors | {"g_idx": Array.of(g_idx.astype(np.int32))}


def parts(config: Config, tensors: Tensors) -> Integer:
    """A sound module taken apart."""
    bits, word = width(config), word_of(config)
    q = fields(tensors["qweight"].bits.T, bits, word)
    if "g_idx" in tensors:
        q, g = q[:, : tensors["g_idx"].shape[0]], tensors["g_idx"].bits.astype(np.int64)
    else:
        size = group_size(config, q.shape[1])
        q = q[:, : tensors["scales"].shape[0] * size]
        g = np.arange(q.shape[1]) // size
    return Integer.of(q, zero_points(config, tensors), tensors["scales"], g, bits)


def stored_zeros(config: Config, tensors: Tensors) -> np.ndarray:
    """The fields of ``qzeros`` [groups, out] as they are."""
    return fields(tensors["qzeros"].bits, width(config), word_of(config))[:, : tensors["scales"].shape[1]]


def zero_points(config: Config, tensors: Tensors) -> np.ndarray:
    """Zero points [groups, out] by the written policies."""
    bits, word, first = width(config), word_of(config), version(config) == 1
    stored, middle = stored_zeros(config, tensors), 1 << (bits - 1)
    if config.get("sym") is not False and (stored == middle - (not first)).all():
        return np.full_like(stored, middle)
    if not first:
        return stored
    unsigned = np.ascontiguousarray(tensors["qzeros"].bits).view(_UNSIGNED[word])
    return fields(unsigned + _UNSIGNED[word](ones(bits, word)), bits, word)[:, : stored.shape[1]]
