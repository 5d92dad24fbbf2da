"""What a GPU is asked to do: on CUDA one kernel, unless ``MLX_QUANT_KERNELS=0`` says not to; else MLX's own operations.

The whole suite has run on both. Metal has no kernel, because nobody has run one.
"""

from __future__ import annotations

import functools
import logging
import os

import mlx.core as mx

from . import kernels
from .bits import NIBBLES
from .words import Columns, Nibbles, Rows, Words

_log = logging.getLogger("mlx_quant")

# 0 asks for MLX's own operations; else kernels are used where they work, which is tried once.
SWITCH = "MLX_QUANT_KERNELS"
_BITS = (2, 4, 8)


def moved(words: Words, bits: int, permutation: mx.array | None) -> mx.array | None:
    """Words of ``words``, their channels reordered; lazy. None where there is no kernel for them."""
    if not _taken(words, bits):
        return None
    layout, extra = _layout(words)
    if permutation is not None:
        if layout != kernels.COLUMNS:
            return None
        layout, extra = kernels.REORDERED, permutation.astype(mx.int32)
    return kernels.moved(words.stored, layout, extra, words.shape[1], words.shape[0], bits)


def dense(
    words: Words,
    bits: int,
    in_features: int,
    scales: mx.array,
    zeros: mx.array,
    group_index: mx.array | None,
    group_size: int,
    dtype: mx.Dtype,
) -> mx.array | None:
    """``W`` [out, in] as ``dtype``, lazy; None where there is no kernel for it.

    The kernel rounds a product of float32 once. That is exact unless scales are float32 and the result is narrower.
    """
    inexact = scales.dtype == mx.float32 and dtype != mx.float32
    if inexact or words.shape[1] * 32 != in_features * bits or not _taken(words, bits):
        return None
    layout, extra = _layout(words)
    return kernels.dense(
        words.stored, layout, extra, scales, zeros, group_index, group_size, bits, words.shape[1], dtype
    )


def _taken(words: Words, bits: int) -> bool:
    known = isinstance(words, Rows | Columns) or (isinstance(words, Nibbles) and bits == 32 // NIBBLES)
    return known and bits in _BITS and _works()


def _layout(words: Words) -> tuple[int, mx.array]:
    if isinstance(words, Nibbles):
        return kernels.NIBBLES, kernels.numbers(*words.order)
    return kernels.COLUMNS if isinstance(words, Columns) else kernels.ROWS, kernels.numbers(0)


@functools.cache
def _works() -> bool:
    """Whether this machine compiles the kernels and they move one word right; said once if not."""
    if os.environ.get(SWITCH) == "0" or not mx.cuda.is_available():
        return False
    try:
        found = kernels.moved(mx.array([[5], [7]], dtype=mx.uint32), kernels.COLUMNS, kernels.numbers(0), 2, 1, 4)
        return found.tolist() == [[5, 7]]
    except Exception as error:  # whatever a compiler or driver says
        _log.warning("CUDA kernels do not work here (%s); MLX's own operations decode", error)
        return False
