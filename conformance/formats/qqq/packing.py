"""QQQ, packed and taken apart in NumPy: tiles of 16 inputs by 16 outputs, and two scales.

The integer of a weight has 8 bits: ``(q - 8) * s_group`` rounded to even and cut off, or without groups 16 times the
code, whose nibble has a sign then. Source: GPTQModel 7.7.0, ``nn_modules/qlinear/qqq.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.fields import fields, words
from .. import flags as shared
from ..gptq.packing import config_of as dynamic
from ..parts import Config, Integer, Tensors
from ..spelt import written

WIDTHS = (4,)
SLUG = "qqq"
# Of the integers, as unsigned bytes.
ZERO = 128


def config(bits: int, group_size: int) -> dict[str, Any]:
    """The plainest ``quantization_config``."""
    return {"quant_method": SLUG, "bits": bits, "group_size": group_size, "desc_act": False, "sym": True}


def config_of(config: Config, module: str) -> dict[str, Any]:
    """By GPTQModel's rules, like all of its configs."""
    return dynamic(config, module)


def width(config: Config) -> int:
    return int(shared.width(config))


def group_size(config: Config, in_features: int) -> int:
    found = written(config)
    size: Any = next((found[key] for key in ("group_size", "q_group_size", "groupsize") if key in found), -1)
    return in_features if size == -1 else int(size)


def fragments(grouped: bool) -> np.ndarray:
    """Which of 16 inputs by 64 outputs is code ``n`` of 1024, as ``64 * input + output``.

    A thread holds of each of four tiles two columns, eight apart, of four rows that follow. With groups the even rows
    of both columns come before the odd ones; without, rows follow and the second column comes before the first.
    """
    if grouped:
        lane, tile, odd, column, pair = np.ogrid[:32, :4, :2, :2, :2]
        row = 4 * (lane % 4) + 2 * pair + odd
    else:
        lane, tile, row, column = np.ogrid[:32, :4, :4, :2]
        row, column = 4 * (lane % 4) + row, 1 - column
    return np.asarray(64 * row + 16 * tile + 8 * column + lane // 4).ravel()


# Scales of groups by 64, and those of outputs by 32.
TURNED = np.arange(64).reshape(8, 8).T.ravel()
PAIRED = np.arange(32).reshape(4, 4, 2).transpose(1, 0, 2).ravel()


def packed(nibbles: np.ndarray, grouped: bool) -> np.ndarray:
    """int32 [in / 16, 2 * out] of nibbles [out, in]."""
    out, inputs = nibbles.shape
    rows = nibbles.reshape(out // 64, 64, inputs // 16, 16).transpose(2, 0, 3, 1).reshape(-1, 1024)
    return words(rows[:, fragments(grouped)].reshape(inputs // 16, -1))


def unpacked(tiles: np.ndarray, grouped: bool) -> np.ndarray:
    """Inverse of :func:`packed`."""
    rows, out = len(tiles), tiles.shape[1] // 2
    found = np.empty((rows * out // 64, 1024), np.int64)
    found[:, fragments(grouped)] = fields(tiles, 1).reshape(found.shape)
    return found.reshape(rows, out // 64, 16, 64).transpose(1, 3, 0, 2).reshape(out, 16 * rows)


def moved(scales: Array, order: np.ndarray) -> Array:
    return Array(scales.dtype, scales.bits.reshape(-1, len(order))[:, order].reshape(scales.shape))


def integers(codes: np.ndarray, grown: np.ndarray | None) -> np.ndarray:
    """int64 [out, in] from -128 to 127 of codes [out, in] from 0 to 15 and, with groups, their scales [out, in]."""
    if grown is None:
        return (codes - 8) * 16
    return np.clip(np.rint((codes - 8) * grown), -128, 127).astype(np.int64)


def pack(
    codes: np.ndarray, zeros: np.ndarray, scales: Array, grown: Array | None = None, *, bits: int = 4
) -> dict[str, Array]:
    """The tensors of codes [out, in] that stand for as many less 8, scales of outputs [1, out] float32, and scales of
    groups ``grown`` [groups, out] float16, None where there is one group. Zero points are not stored."""
    nibbles = codes if grown is not None else (codes - 8) % 16
    group = Array.of(np.zeros(0, np.float16)) if grown is None else moved(grown, TURNED)
    tiles = Array.of(packed(nibbles, grown is not None))
    return {"B": tiles, "s_channel": moved(scales, PAIRED), "s_group": group}


def codes_of(config: Config, tensors: Tensors) -> np.ndarray:
    """int64 [out, in], as they are counted here."""
    grouped = has_groups(config, tensors)
    nibbles = unpacked(tensors["B"].bits, grouped)
    return nibbles if grouped else nibbles ^ 8


def has_groups(config: Config, tensors: Tensors) -> bool:
    inputs = 16 * len(tensors["B"].bits)
    return group_size(config, inputs) != inputs


def parts(config: Config, tensors: Tensors) -> Integer:
    """A sound module taken apart: integers of 8 bits and a scale an output."""
    codes, scales = codes_of(config, tensors), moved(tensors["s_channel"], np.argsort(PAIRED))
    return Integer.of(ZERO + integers(codes, grown_of(config, tensors)), _zeros(scales), scales, _one(codes), 8)


def grown_of(config: Config, tensors: Tensors) -> np.ndarray | None:
    """Scales of groups by output and input, float64 [out, in]."""
    if not has_groups(config, tensors):
        return None
    inputs = 16 * len(tensors["B"].bits)
    plain = moved(tensors["s_group"], np.argsort(TURNED)).float64()
    return plain[np.arange(inputs) // group_size(config, inputs)].T


def _zeros(scales: Array) -> np.ndarray:
    return np.full(scales.shape, ZERO)


def _one(codes: np.ndarray) -> np.ndarray:
    return np.zeros(codes.shape[1], np.int64)
