"""What a GPU is asked to do: on CUDA one kernel, unless ``MLX_QUANT_KERNELS=0`` says not to; else MLX's own operations.

What has run on both, docs/performance.md says. Metal has no kernel, because nobody has run one.
"""

from __future__ import annotations

import functools
import logging
import os
from dataclasses import dataclass
from typing import cast

import mlx.core as mx

from . import kernels
from .bits import NIBBLES, as_words, unpack
from .compiled import fused
from .cpu import SWITCH
from .words import Columns, Nibbles, Rows, Words

_log = logging.getLogger("mlx_quant")

# Widths that kernels read.
BITS = (2, 4, 8)


@dataclass(frozen=True)
class Stored:
    """Zero points as a file holds them: fields of uint32 [groups, ceil(out * bits / 32)], less ``added``.

    Attributes:
        order: of fields, as that of :class:`.words.Nibbles`.
    """

    words: mx.array
    added: int = 0
    order: tuple[int, ...] | None = None

    def array(self, bits: int, outputs: int) -> mx.array:
        """uint8 [groups, out], lazy."""
        plan = bits, outputs, self.added, self.order
        return cast(mx.array, fused(_fields, *plan)(as_words(self.words)))


def _fields(words: mx.array, bits: int, outputs: int, added: int, order: tuple[int, ...] | None) -> mx.array:
    fields = unpack(words, bits, outputs)
    if order is not None:
        eight = fields.reshape(len(fields), -1, NIBBLES)
        fields = mx.stack([eight[..., order.index(output)] for output in range(NIBBLES)], axis=-1).reshape(fields.shape)
    return mx.contiguous((fields + added) & ((1 << bits) - 1))


def dense(
    words: Words,
    bits: int,
    in_features: int,
    scales: mx.array,
    zeros: mx.array | Stored,
    group_index: mx.array | None,
    group_size: int,
    dtype: mx.Dtype,
    told: mx.array,
) -> mx.array | None:
    """``W`` [out, in] as ``dtype``, lazy; None where there is no kernel for it.

    The kernel rounds a product of float32 once. That is exact unless scales are float32 and the result is narrower.
    What it ``told``, see :mod:`.kernels`.
    """
    inexact = scales.dtype == mx.float32 and dtype != mx.float32
    if inexact or not _taken(words, bits, in_features):
        return None
    mapped = group_index is not None
    if not kernels.holds_dense(scales.shape[0], group_size, mapped, bits, scales.dtype.size):
        return None
    array, lie = _lie(zeros)
    run = fused(kernels.dense, *_layout(words), *lie, group_size, bits, dtype)
    return cast(mx.array, run(words.stored, scales, array, group_index, told))


def affine(
    words: Words,
    bits: int,
    in_features: int,
    scales: mx.array,
    zeros: mx.array | Stored,
    group_index: mx.array | None,
    repeat: int,
    dtype: mx.Dtype,
    told: mx.array,
) -> tuple[mx.array, ...] | None:
    """Words uint32 [out, n], scales and biases ``RN(-z * s)`` as ``dtype`` [out, groups * repeat]; where a map orders
    channels, that order is the words' too, and comes last. Lazy; None where there is no kernel for it.

    All groups must have one size; the kernel ``told`` where they have not, and whether anything was reordered.
    """
    if isinstance(words, Rows) or not _taken(words, bits, in_features):
        return None
    if group_index is not None and not (isinstance(words, Columns) and kernels.holds_reordered(words.shape[1])):
        return None
    array, lie = _lie(zeros)
    run = fused(kernels.affine, *_layout(words), *lie, repeat, bits, dtype)
    return cast(tuple[mx.array, ...], run(words.stored, scales, array, group_index, told))


def reads() -> bool:
    """Whether there are kernels here."""
    return mx.default_device() == mx.gpu and _works()


def _taken(words: Words, bits: int, in_features: int) -> bool:
    known = isinstance(words, Rows | Columns) or (isinstance(words, Nibbles) and bits == 32 // NIBBLES)
    fits = words.shape[1] * 32 == in_features * bits and words.stored.size < 1 << 31
    return known and bits in BITS and fits and reads()


def _layout(words: Words) -> tuple[int, tuple[int, ...]]:
    if isinstance(words, Nibbles):
        return kernels.NIBBLES, (*words.order, *map(words.order.index, range(NIBBLES)))
    return kernels.COLUMNS if isinstance(words, Columns) else kernels.ROWS, (0,)


def _lie(zeros: mx.array | Stored) -> tuple[mx.array, tuple[int, int]]:
    if isinstance(zeros, Stored):
        return as_words(zeros.words), (kernels.FIELDS if zeros.order is None else kernels.ORDERED, zeros.added)
    return zeros, (kernels.BYTES, 0)


@functools.cache
def _works() -> bool:
    """Whether this machine compiles the kernels that ask most of it, they pick words right, and say what they met; said
    once if not."""
    if os.environ.get(SWITCH) == "0" or not mx.cuda.is_available():
        return False
    try:
        # Two groups that have changed places, and scales that must be refused.
        stored, half = mx.arange(640, dtype=mx.uint32)[:, None], 640 * NIBBLES // 2
        order = mx.concatenate([mx.arange(half, 2 * half), mx.arange(half)])
        scales, zeros = mx.full((2, 1), mx.inf), mx.ones((2, 1), dtype=mx.uint8)
        told = mx.array([0, 0], dtype=mx.uint32)
        plan = kernels.COLUMNS, (0,), kernels.BYTES, 0, 1, 4, mx.float32
        found = kernels.affine(stored, scales, zeros, (order >= half).astype(mx.int32), told, *plan)
        picked = mx.concatenate([stored[320:, 0], stored[:320, 0]])
        same = mx.array_equal(found[0][0], picked) & mx.array_equal(found[3], order)
        return bool(same.item()) and told.tolist() == [1, 1]
    except Exception as error:  # whatever a compiler or driver says
        _log.warning("CUDA kernels do not work here (%s); MLX's own operations decode", error)
        return False
