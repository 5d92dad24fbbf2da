"""AWQ gemv, packed and taken apart in NumPy: codes along the inputs, zero points along the groups, both padded.

Source: autoawq 0.2.9, ``awq/modules/linear/gemv.py`` (``calculate_zeros_width``, ``from_linear``).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.fields import fields, words
from ..dialects import awq as dialect
from ..parts import Config, Integer, Tensors

WIDTHS = (4,)


def config(bits: int, group_size: int) -> dict[str, Any]:
    """The plainest ``quantization_config``."""
    return dialect.plain(dialect.GEMV, bits, group_size)


def config_of(config: Config, module: str) -> dict[str, Any]:
    """All modules of a checkpoint are alike."""
    return dict(config)


def group_size(config: Config, in_features: int) -> int:
    return dialect.group_size(config, in_features)


def pack(codes: np.ndarray, zeros: np.ndarray, scales: Array, *, bits: int = 4) -> dict[str, Array]:
    """The tensors of codes [out, in] and zero points [groups, out]."""
    inputs, groups = codes.shape[1], len(zeros)
    room = dialect.padded(groups, inputs // groups)
    wide = np.zeros((codes.shape[0], room), scales.bits.dtype)
    wide[:, :groups] = scales.bits.T
    return {
        "qweight": Array.of(words(codes, bits)),
        "qzeros": Array.of(words(np.pad(zeros.T, ((0, 0), (0, room - groups))), bits)),
        "scales": Array(scales.dtype, wide),
    }


def parts(config: Config, tensors: Tensors) -> Integer:
    """A sound module taken apart; what is beyond the last group is padding, whatever it holds."""
    q = fields(tensors["qweight"].bits, 1).astype(np.int64)
    size = group_size(config, q.shape[1])
    groups = q.shape[1] // size
    z = fields(tensors["qzeros"].bits, 1)[:, :groups].astype(np.int64)
    scales = Array(tensors["scales"].dtype, np.ascontiguousarray(tensors["scales"].bits[:, :groups].T))
    return Integer.of(q, np.ascontiguousarray(z.T), scales, np.arange(q.shape[1]) // size)
