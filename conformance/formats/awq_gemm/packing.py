"""AWQ gemm, packed and taken apart in NumPy: 4 bits, both tensors packed along the outputs and interleaved.

Source: autoawq 0.2.9, ``awq/utils/packing_utils.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.fields import fields, words
from ..parts import Config, Integer, Tensors

WIDTHS = (4,)
# Natural column j of each eight is nibble NIBBLE_OF_COLUMN[j] of a word (AWQ_REVERSE_ORDER).
NIBBLE_OF_COLUMN = (0, 4, 1, 5, 2, 6, 3, 7)


def config(bits: int, group_size: int) -> dict[str, Any]:
    """The plainest ``quantization_config``."""
    return {"quant_method": "awq", "bits": bits, "group_size": group_size, "version": "gemm", "zero_point": True}


def config_of(config: Config, module: str) -> dict[str, Any]:
    """All modules of a checkpoint are alike."""
    return dict(config)


def natural(values: np.ndarray) -> np.ndarray:
    """Fields [rows, columns] in the order of the nibbles, put into the order of the columns."""
    eights = values.reshape(len(values), -1, 8)
    return eights[:, :, list(NIBBLE_OF_COLUMN)].reshape(values.shape)


def interleaved(values: np.ndarray) -> np.ndarray:
    """Inverse of :func:`natural`."""
    eights = values.reshape(len(values), -1, 8)
    return eights[:, :, [NIBBLE_OF_COLUMN.index(nibble) for nibble in range(8)]].reshape(values.shape)


def pack(codes: np.ndarray, zeros: np.ndarray, scales: Array, *, bits: int = 4) -> dict[str, Array]:
    """The tensors of codes [out, in] and zero points [groups, out]."""
    return {
        "qweight": Array.of(words(interleaved(np.ascontiguousarray(codes.T)), bits)),
        "qzeros": Array.of(words(interleaved(zeros), bits)),
        "scales": scales,
    }


def parts(config: Config, tensors: Tensors) -> Integer:
    """A sound module taken apart."""
    q = natural(fields(tensors["qweight"].bits, axis=1)).T.astype(np.int64)
    z = natural(fields(tensors["qzeros"].bits, axis=1)).astype(np.int64)
    g = np.arange(q.shape[1]) // group_size(config, q.shape[1])
    return Integer.of(q, z, tensors["scales"], g)


def group_size(config: Config, in_features: int) -> int:
    size: Any = config.get("group_size", config.get("q_group_size", 128))
    return in_features if size == -1 else int(size)
