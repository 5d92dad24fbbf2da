"""Faults of what surrounds a decode: inputs that are written into, answers that are taken back, views, and threads."""

from __future__ import annotations

import time

import numpy as np

from ..bits.array import Array
from .model import Ask, Bug, Config, Mutant, Tensors, github
from .wrap import misread

_EVERY_WIDTH = (2, 3, 4, 8)
_LEVEL = ("state",)


def _repacked_in_place(ask: Ask, config: Config, tensors: Tensors, dtype: str | None) -> Array:
    answer = ask(config, tensors, dtype)
    words = tensors["qweight"].bits
    if words.flags.writeable:
        words[...] = words[::-1].copy()
    return answer


def _config_completed(ask: Ask, config: Config, tensors: Tensors, dtype: str | None) -> Array:
    answer = ask(config, tensors, dtype)
    config |= {"in_features": answer.shape[-1], "out_features": answer.shape[0]}
    return answer


class _Buffers:
    """One buffer a shape, which every answer of that shape is written into."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, tuple[int, ...]], np.ndarray] = {}

    def __call__(self, ask: Ask, config: Config, tensors: Tensors, dtype: str | None) -> Array:
        answer = ask(config, tensors, dtype)
        buffer = self._kept.setdefault((answer.dtype, answer.shape), np.empty_like(answer.bits))
        buffer[...] = answer.bits
        return Array(answer.dtype, buffer)


class _Workspace:
    """The module that is being decoded lies in a place that all threads share."""

    def __init__(self) -> None:
        self._shared: tuple[Config, Tensors] = ({}, {})

    def __call__(self, ask: Ask, config: Config, tensors: Tensors, dtype: str | None) -> Array:
        self._shared = config, tensors
        time.sleep(0.002)  # as long as the copy to the device takes
        return ask(*self._shared, dtype)


def _in_order_of_memory(config: Config, tensors: Tensors) -> tuple[Config, Tensors]:
    return config, {
        name: Array(array.dtype, array.bits.ravel(order="K").reshape(array.shape)) for name, array in tensors.items()
    }


STATE = (
    Mutant(
        "ST-01",
        Bug.LIFECYCLE,
        "the words are repacked in the array that was given, so that whoever reads it again reads something else",
        github("sgl-project/sglang#14158"),
        _LEVEL,
        bits=_EVERY_WIDTH,
        decode=_repacked_in_place,
    ),
    Mutant(
        "ST-02",
        Bug.LIFECYCLE,
        "settings are completed in the caller's own config, which the next module is decoded by",
        github("NVIDIA/Model-Optimizer#1121"),
        _LEVEL,
        bits=_EVERY_WIDTH,
        decode=_config_completed,
    ),
    Mutant(
        "ST-03",
        Bug.LIFECYCLE,
        "an answer lies in a buffer that is used again, there before it is cleared, here by the next answer",
        github("sgl-project/sglang#29748"),
        _LEVEL,
        bits=_EVERY_WIDTH,
        decode=_Buffers(),
    ),
    Mutant(
        "ST-04",
        Bug.PACK_AXIS,
        "strides are not looked at: views are read in the order of their memory",
        github("bitsandbytes-foundation/bitsandbytes#1995", "ml-explore/mlx#4055", "huggingface/optimum-quanto#26"),
        _LEVEL,
        bits=_EVERY_WIDTH,
        decode=misread(_in_order_of_memory),
    ),
    Mutant(
        "ST-05",
        Bug.LIFECYCLE,
        "two that work at once write into the same place: there blocks of a kernel, here threads with a shared buffer",
        github("vllm-project/vllm#30719", "huggingface/optimum-quanto#332"),
        _LEVEL,
        bits=_EVERY_WIDTH,
        decode=_Workspace(),
    ),
)
