"""Conventions broken on purpose, as rewritten inputs: a decoder with the fault reads the original file exactly as a
sound decoder reads the rewritten one. So a fault needs no second decoder, and applies to any subject."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..bits.array import Array
from ..formats.awq_gemm.packing import DIVISORS, NIBBLE_OF_COLUMN

Tensors = dict[str, Array]


_SHIFTS = 4 * np.arange(8, dtype=np.uint32)


def _move_nibbles(array: Array, source: tuple[int, ...]) -> Array:
    """Nibble ``i`` of each word becomes what nibble ``source[i]`` was."""
    words = array.bits.view(np.uint32)
    moved = sum((((words >> np.uint32(4 * source[i])) & 15) << _SHIFTS[i] for i in range(8)), np.zeros_like(words))
    return Array("int32", moved.view(np.int32))


def no_plus_one(tensors: Tensors) -> Tensors:
    words = tensors["qzeros"].bits.view(np.uint32)
    lowered = sum(((((words >> s) & 15) - 1) & 15) << s for s in _SHIFTS)
    return tensors | {"qzeros": Array("int32", np.asarray(lowered, np.uint32).view(np.int32))}


def nibbles_reversed(tensors: Tensors) -> Tensors:
    return tensors | {"qweight": _move_nibbles(tensors["qweight"], tuple(range(7, -1, -1)))}


def no_awq_interleave(tensors: Tensors) -> Tensors:
    source = tuple(NIBBLE_OF_COLUMN.index(i) for i in range(8))
    return tensors | {name: _move_nibbles(tensors[name], source) for name in ("qweight", "qzeros")}


def g_idx_ignored(tensors: Tensors) -> Tensors:
    # Not by leaving it out: with desc_act and no g_idx a sound decoder refuses.
    in_features, groups = tensors["g_idx"].bits.size, len(tensors["scales"].bits)
    by_position = np.arange(in_features, dtype=np.int32) // -(-in_features // groups)
    return tensors | {"g_idx": Array("int32", by_position)}


def divisors_left_out(tensors: Tensors) -> Tensors:
    return {name: array for name, array in tensors.items() if name != DIVISORS}


@dataclass(frozen=True)
class Fault:
    """``rewrite`` acts on a module's tensors; weights whose name ends in ``forgets`` stay zero."""

    id: str
    mechanism: str
    checkpoints: tuple[str, ...]
    rewrite: Callable[[Tensors], Tensors] | None = None
    forgets: str | None = None


FAULTS = (
    Fault(
        "no-plus-one",
        "GPTQ zero points read as stored",
        ("llama-gptq-g128-seq-asym", "qwen2-gptq-g128-act-sym"),
        rewrite=no_plus_one,
    ),
    Fault(
        "nibbles-reversed",
        "codes read from the top of the word",
        ("llama-gptq-g32-act-sym", "qwen2-awq-g128", "llama-awq-g32"),
        rewrite=nibbles_reversed,
    ),
    Fault(
        "no-awq-interleave",
        "AWQ columns in stored order",
        ("llama-awq-g32", "llama-awq-g128", "qwen2-awq-g32"),
        rewrite=no_awq_interleave,
    ),
    Fault(
        "g_idx-ignored",
        "groups taken from the position",
        ("llama-gptq-g32-act-sym", "qwen2-gptq-g32-act-asym", "qwen2-gptq-g128-act-sym", "llama-gptq-g128-act-asym"),
        rewrite=g_idx_ignored,
    ),
    Fault(
        "biases-dropped",
        "q, k and v biases forgotten",
        ("qwen2-gptq-g128-act-sym", "qwen2-awq-g32"),
        forgets="_proj.bias",
    ),
    Fault(
        "divisors-left-out",
        "the divisors of a scaled activation left out",
        ("starcoder2-awq-scaled-g32",),
        rewrite=divisors_left_out,
    ),
)
