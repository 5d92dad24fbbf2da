"""AWQ gemv_fast, packed and taken apart in NumPy: codes in blocks of 4 outputs and 64 inputs, floats for zero points.

Sources: autoawq 0.2.9, ``awq/modules/linear/gemv_fast.py`` (``pack_intweight``, ``from_linear``); llm-awq, commit
d6e797a, ``awq/quantize/qmodule.py``, which calls the floats ``scaled_zeros``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ..dialects import awq as dialect
from ..offset import Offset, scaled_zeros
from ..parts import Config, Tensors

WIDTHS = (4,)
# The name of the offsets, by label.
OFFSETS = {dialect.GEMV_FAST: "qzeros", dialect.LLM_AWQ: "scaled_zeros"}
ROWS, BLOCK = 4, 64


def config(bits: int, group_size: int) -> dict[str, Any]:
    """The plainest ``quantization_config``."""
    return dialect.plain("gemv_fast", bits, group_size)


def llm_awq(group_size: int) -> dict[str, Any]:
    """The same of llm-awq's packer, as transformers names it."""
    return dialect.plain("gemv", 4, group_size) | {"backend": "llm-awq"}


def config_of(config: Config, module: str) -> dict[str, Any]:
    """All modules of a checkpoint are alike."""
    return dict(config)


def group_size(config: Config, in_features: int) -> int:
    return dialect.group_size(config, in_features)


def offsets_of(config: Config) -> str:
    return OFFSETS[dialect.label(config)]


def _places() -> np.ndarray:
    """The place of each of 32 inputs: pairs are dealt to four words, where the firsts of all pairs come first."""
    word, pair, second = np.arange(32) % 8 // 2, np.arange(32) // 8, np.arange(32) % 2
    return 8 * word + 4 * second + pair


PLACES = _places()


def packed(codes: np.ndarray) -> np.ndarray:
    """int16 [out / 4, in] of codes [out, in]."""
    out, inputs = codes.shape
    moved = np.empty((out, inputs // 32, 32), np.uint8)
    moved[:, :, PLACES] = codes.reshape(out, -1, 32)
    rows = moved.reshape(out // ROWS, ROWS, inputs // BLOCK, BLOCK).transpose(0, 2, 1, 3)
    nibbles = np.ascontiguousarray(rows).reshape(out // ROWS, 2 * inputs, 2)
    octets = np.ascontiguousarray(nibbles[..., 0] | nibbles[..., 1] << 4)
    return octets.view("<u2").astype(np.uint16).view(np.int16)


def unpacked(words: np.ndarray) -> np.ndarray:
    """Inverse of :func:`packed`."""
    out, inputs = ROWS * len(words), words.shape[1]
    octets = np.ascontiguousarray(words.view(np.uint16).astype("<u2")).view(np.uint8)
    nibbles = np.stack([octets & 15, octets >> 4], axis=-1).reshape(out // ROWS, inputs // BLOCK, ROWS, BLOCK)
    rows = np.ascontiguousarray(nibbles.transpose(0, 2, 1, 3)).reshape(out, inputs // 32, 32)
    return rows[:, :, PLACES].reshape(out, inputs).astype(np.int64)


def pack(codes: np.ndarray, zeros: np.ndarray, scales: Array, *, bits: int = 4) -> dict[str, Array]:
    """The tensors of codes [out, in] and zero points [groups, out], which become offsets as producers make them."""
    return pack_offsets(codes, scales, scaled_zeros(zeros, scales))


def pack_offsets(
    codes: np.ndarray, scales: Array, offsets: Array, named: str = OFFSETS[dialect.GEMV_FAST]
) -> dict[str, Array]:
    """The same of offsets [groups, out]."""
    groups, out = scales.shape
    room = dialect.padded(groups, codes.shape[1] // groups)
    wide = {}
    for name, array in (("scales", scales), (named, offsets)):
        bits = np.zeros((room, out), array.bits.dtype)
        bits[:groups] = array.bits
        wide[name] = Array(array.dtype, bits)
    return {"qweight": Array.of(packed(codes))} | wide


def parts(config: Config, tensors: Tensors) -> Offset:
    """A sound module taken apart; what is beyond the last group is padding, whatever it holds."""
    q = unpacked(tensors["qweight"].bits)
    size = group_size(config, q.shape[1])
    scales, offsets = (
        Array(tensors[name].dtype, tensors[name].bits[: q.shape[1] // size]) for name in ("scales", offsets_of(config))
    )
    return Offset.of(q, scales, offsets, np.arange(q.shape[1]) // size)
