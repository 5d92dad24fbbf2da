"""Faults that need two options at once: each of them alone is read rightly."""

from __future__ import annotations

import numpy as np

from ..bits.array import Array
from ..formats.registry import integers
from .model import Ask, Bug, Config, Mutant, Tensors, github

_EVERY_WIDTH = (2, 3, 4, 8)


def _short_group_in_bfloat16(ask: Ask, config: Config, tensors: Tensors, dtype: str | None) -> Array:
    sound, found = ask(config, tensors, dtype), integers(config, tensors)
    short = np.bincount(found.g, minlength=len(found.s))[-1] < np.bincount(found.g).max()
    if found.dtype != "bfloat16" or not short or len(found.s) < 2 or not (np.diff(found.g) >= 0).all():
        return sound
    return found.with_(g=np.minimum(found.g, len(found.s) - 2)).dense(dtype)


def _order_lost_in_another_dtype(ask: Ask, config: Config, tensors: Tensors, dtype: str | None) -> Array:
    sound, found = ask(config, tensors, dtype), integers(config, tensors)
    if dtype in (None, found.dtype) or "bias" not in tensors:
        return sound
    return found.with_(g=np.sort(found.g)).dense(dtype)


PAIRS = (
    Mutant(
        "PR-01",
        Bug.GROUP_TAIL,
        "a short last group is read with the numbers of the one before it, in the path for bfloat16 alone",
        github("vllm-project/compressed-tensors#308", "ModelCloud/GPTQModel#328"),
        ("synthetic",),
        ("gptq",),
        bits=_EVERY_WIDTH,
        decode=_short_group_in_bfloat16,
    ),
    Mutant(
        "PR-02",
        Bug.GROUP_INDEX,
        "act-order is lost in the path for modules with a bias that are cast to another dtype",
        github("vllm-project/vllm#55262"),
        ("synthetic",),
        ("gptq",),
        bits=_EVERY_WIDTH,
        decode=_order_lost_in_another_dtype,
    ),
)
