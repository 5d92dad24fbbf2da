"""Marlin's tiles, packed and taken apart in NumPy: 16 inputs by 16 outputs in the order of a tensor core's fragments.

AutoGPTQ calls codes and scales ``B`` and ``s``, AutoAWQ ``qweight`` and ``scales``; otherwise they are the same.
Sources: auto_gptq 0.7.1, ``nn_modules/qlinear/qlinear_marlin.py``; autoawq 0.2.9, ``awq/modules/linear/marlin.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.fields import fields, words
from ..dialects import awq as dialect
from ..parts import Config, Integer, Tensors
from ..spelt import written

WIDTHS = (4,)
ZERO = 8
GPTQ, AWQ = ("B", "s"), ("qweight", "scales")


def config(bits: int, group_size: int) -> dict[str, Any]:
    """The plainest ``quantization_config``: AutoGPTQ's."""
    own = {"bits": bits, "group_size": group_size, "desc_act": False, "sym": True}
    return {"quant_method": "gptq", "is_marlin_format": True} | own


def awq(group_size: int) -> dict[str, Any]:
    """The same of AutoAWQ."""
    return dialect.plain("marlin", 4, group_size) | {"zero_point": False}


def config_of(config: Config, module: str) -> dict[str, Any]:
    """All modules of a checkpoint are alike."""
    return dict(config)


def names_of(config: Config) -> tuple[str, str]:
    """Those of codes and scales."""
    return AWQ if dialect.reads(config) else GPTQ


def group_size(config: Config, in_features: int) -> int:
    if dialect.reads(config):
        return dialect.group_size(config, in_features)
    found = written(config)
    size: Any = found.get("group_size", found.get("q_group_size", -1))
    return in_features if size == -1 else int(size)


def _fragments() -> np.ndarray:
    """Which of 16 inputs by 64 outputs is code ``n`` of 1024, as ``64 * input + output``.

    A thread holds of each of four tiles two columns, eight apart, with two pairs of rows in each; it takes first the
    even halves of all pairs, then the odd ones.
    """
    lane, tile, half, column, pair = np.ogrid[:32, :4, :2, :2, :2]
    row = 8 * pair + 2 * (lane % 4) + half
    return np.asarray(64 * row + 16 * tile + 8 * column + lane // 4).ravel()


FRAGMENTS = _fragments()
# Scales of several groups by 64, and those of one group by 32.
TURNED = np.arange(64).reshape(8, 8).T.ravel()
PAIRED = np.arange(32).reshape(4, 4, 2).transpose(1, 0, 2).ravel()


def packed(codes: np.ndarray) -> np.ndarray:
    """int32 [in / 16, 2 * out] of codes [out, in]."""
    out, inputs = codes.shape
    rows = codes.reshape(out // 64, 64, inputs // 16, 16).transpose(2, 0, 3, 1).reshape(-1, 1024)
    return words(rows[:, FRAGMENTS].reshape(inputs // 16, -1))


def unpacked(tiles: np.ndarray) -> np.ndarray:
    """Inverse of :func:`packed`."""
    rows, out = len(tiles), tiles.shape[1] // 2
    found = np.empty((rows * out // 64, 1024), np.int64)
    found[:, FRAGMENTS] = fields(tiles, 1).reshape(found.shape)
    return found.reshape(rows, out // 64, 16, 64).transpose(1, 3, 0, 2).reshape(out, 16 * rows)


def permuted(scales: Array) -> Array:
    """Scales [groups, out] as they are stored; what is stored becomes scales again by the same exchange."""
    order = PAIRED if len(scales.bits) == 1 else TURNED
    return Array(scales.dtype, scales.bits.reshape(-1, len(order))[:, order].reshape(scales.shape))


def in_order(stored: Array) -> Array:
    """Inverse of :func:`permuted`."""
    order = np.argsort(PAIRED if len(stored.bits) == 1 else TURNED)
    return Array(stored.dtype, stored.bits.reshape(-1, len(order))[:, order].reshape(stored.shape))


def pack(
    codes: np.ndarray, zeros: np.ndarray, scales: Array, *, bits: int = 4, named: tuple[str, str] = GPTQ
) -> dict[str, Array]:
    """The tensors of codes [out, in] and scales [groups, out]; zero points are 8, and are not stored."""
    return {named[0]: Array.of(packed(codes)), named[1]: permuted(scales)}


def parts(config: Config, tensors: Tensors) -> Integer:
    """A sound module taken apart."""
    codes, factors = names_of(config)
    q, scales = unpacked(tensors[codes].bits), in_order(tensors[factors])
    g = np.arange(q.shape[1]) // group_size(config, q.shape[1])
    return Integer.of(q, np.full(scales.shape, ZERO), scales, g)
