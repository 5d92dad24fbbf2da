"""Faults of how settings are read: null taken for a value, and names known in one case only."""

from __future__ import annotations

from ..bits.array import Array
from .model import Ask, Bug, Config, Mutant, Tensors, github

_EVERY_WIDTH = (2, 3, 4, 8)
_LEVEL = ("policies",)
# What a loader looks up with a default of its own, which null does not make it use.
_NUMBERS_AND_NAMES = ("bits", "group_size", "version", "checkpoint_format", "format")


def _null_is_a_value(ask: Ask, config: Config, tensors: Tensors, dtype: str | None) -> Array:
    for key in _NUMBERS_AND_NAMES:
        if config.get(key, 0) is None:
            raise TypeError(f"{key}: 'NoneType' is neither a number nor a name")
    return ask(config, tensors, dtype)


def _capitals_are_unknown(ask: Ask, config: Config, tensors: Tensors, dtype: str | None) -> Array:
    for key in ("quant_method", "version", "checkpoint_format", "format"):
        if str(config.get(key, "")).isupper():
            return ask(config | {"quant_method": "unheard-of"}, tensors, dtype)
    return ask(config, tensors, dtype)


SPELLING = (
    Mutant(
        "NL-01",
        Bug.CONFIG_FALLBACK,
        "a key whose value is null is looked up as if it said something: there actorder, here numbers and labels",
        github("vllm-project/vllm#35305"),
        _LEVEL,
        bits=_EVERY_WIDTH,
        decode=_null_is_a_value,
        loud=True,
    ),
    Mutant(
        "NL-02",
        Bug.CONFIG_FALLBACK,
        "names in capitals, as AutoAWQ wrote them for long, are not known",
        github("huggingface/transformers#27320"),
        _LEVEL,
        bits=_EVERY_WIDTH,
        decode=_capitals_are_unknown,
        loud=True,
    ),
)
