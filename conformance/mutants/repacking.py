"""A sound repacker into MLX's affine form, and faults of others: float types, signs and group numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..bits.array import Array
from ..bits.fields import words
from ..bits.rounding import nearest
from ..formats.parts import Affine
from ..formats.registry import integers, parts
from .model import Ask, Bug, Config, Mutant, Tensors, github

_EVERY_WIDTH = (2, 3, 4, 8)
NO_FORM = "no affine form"
AFFINE_BITS = (2, 3, 4, 5, 6, 8)
_LEVEL = ("affine",)
_OTHER = {"float16": "bfloat16", "bfloat16": "float16", "float32": "bfloat16"}


def sound(ask: Ask, config: Config, tensors: Tensors) -> dict[str, Any]:
    """Codes and scales as they are, biases rounded once; refused where groups are unequal or a word is not full."""
    ask(config, tensors, None)
    found = parts(config, tensors).triple()
    if found is None:
        raise TypeError(f"no affine form of {dict(config)}")
    order = np.argsort(found.g, kind="stable")
    sizes = np.bincount(found.g, minlength=len(found.s))
    # MLX has no codes of 1 or 7 bits.
    bits = next(width for width in AFFINE_BITS if width >= found.bits)
    if np.unique(sizes).size > 1 or found.q.shape[1] * bits % 32:
        # As a method that nobody reads: refused in the words of the sound subject.
        ask(config | {"quant_method": NO_FORM}, tensors, None)
    return {
        "weight": Array("uint32", words(found.q[:, order], bits).view(np.uint32)),
        "scales": nearest(np.ascontiguousarray(found.s.T), found.dtype),
        "biases": _biases(found, found.dtype),
        "group_size": int(sizes[0]),
        "bits": bits,
        "permutation": None if (np.diff(found.g) >= 0).all() else Array.of(order.astype(np.int32)),
    }


def _biases(found: Affine, dtype: str) -> Array:
    return nearest(np.ascontiguousarray(found.offsets().T), dtype)


def _other_float_type(ask: Ask, config: Config, tensors: Tensors) -> dict[str, Any]:
    found = integers(config, tensors)
    return sound(ask, config, tensors) | {"biases": _biases(found, _OTHER[found.dtype])}


def _no_negative_zero(ask: Ask, config: Config, tensors: Tensors) -> dict[str, Any]:
    answer = sound(ask, config, tensors)
    scales = answer["scales"]
    return answer | {"scales": nearest(scales.float64() + 0.0, scales.dtype)}


def _groups_in_seven_bits(ask: Ask, config: Config, tensors: Tensors) -> dict[str, Any]:
    answer = sound(ask, config, tensors)

    def again(array: Array) -> Array:
        return Array(array.dtype, array.bits[:, np.arange(array.shape[1]) & 0x7F])

    return answer | {"scales": again(answer["scales"]), "biases": again(answer["biases"])}


REPACKING = (
    Mutant(
        "AF-01",
        Bug.OP_ORDER_DTYPE,
        "biases have another float type than the scales, which makes every activation a float32",
        github("vllm-project/vllm-metal#340"),
        _LEVEL,
        bits=_EVERY_WIDTH,
        repack=_other_float_type,
    ),
    Mutant(
        "AF-02",
        Bug.SIGNEDNESS,
        "scales of -0.0 lose their sign when they are computed with instead of copied",
        github("unslothai/unsloth-zoo#848"),
        _LEVEL,
        bits=_EVERY_WIDTH,
        repack=_no_negative_zero,
    ),
    Mutant(
        "AF-03",
        Bug.GROUP_INDEX,
        "an index is kept in too few bits: there an offset in 32, here the number of a group in 7",
        github("ml-explore/mlx#2143"),
        _LEVEL,
        bits=_EVERY_WIDTH,
        repack=_groups_in_seven_bits,
    ),
)
