"""What mutants are made of: a small decoder whose steps can be spoilt one by one, and ways to wrap a sound one.

A mutant that spoils values asks the sound subject first, so that what is refused stays refused: it then differs in its
one fault and in nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from ..bits.array import Array
from ..formats.divided import Divided
from ..formats.parts import Integer, Parts
from ..formats.registry import integers, parts
from .model import Ask, Config, Tensors

P = TypeVar("P", bound=Parts)
Decode = Callable[[Ask, Config, Tensors, str | None], Array]


def spoilt(change: Callable[[Integer, Config, Tensors], Integer]) -> Decode:
    """A decode with one of its parts changed."""

    def decode(ask: Ask, config: Config, tensors: Tensors, dtype: str | None) -> Array:
        ask(config, tensors, dtype)
        found = parts(config, tensors)
        if isinstance(found, Divided):
            return found.with_(matrix=change(found.matrix, config, tensors)).dense(dtype)
        return change(integers(config, tensors), config, tensors).dense(dtype)

    return decode


def valued(value: Callable[[Integer, str], Array]) -> Decode:
    """A decode with sound parts and an arithmetic of its own."""

    def decode(ask: Ask, config: Config, tensors: Tensors, dtype: str | None) -> Array:
        answer = ask(config, tensors, dtype)
        if isinstance(parts(config, tensors), Divided):
            # Its arithmetic is another one, with faults of its own.
            return answer
        found = integers(config, tensors)
        return value(found, dtype or found.dtype)

    return decode


def computed_from(kind: type[P], value: Callable[[P, Tensors, str], Array]) -> Decode:
    """A decode with sound parts, which are of ``kind``, and an arithmetic of its own."""

    def decode(ask: Ask, config: Config, tensors: Tensors, dtype: str | None) -> Array:
        ask(config, tensors, dtype)
        found = parts(config, tensors)
        assert isinstance(found, kind)
        with np.errstate(all="ignore"):
            return value(found, tensors, dtype or found.dtype)

    return decode


def afterwards(change: Callable[[Array], Array]) -> Decode:
    """A sound decode whose result is spoilt."""
    return lambda ask, config, tensors, dtype: change(ask(config, tensors, dtype))


def misread(change: Callable[[Config, Tensors], tuple[Config, Tensors]]) -> Decode:
    """A decode of something else than what is there."""

    def decode(ask: Ask, config: Config, tensors: Tensors, dtype: str | None) -> Array:
        ask(config, tensors, dtype)
        return ask(*change(config, tensors), dtype)

    return decode


def tolerant(change: Callable[[Config, Tensors], tuple[Config, Tensors]]) -> Decode:
    """A decode that takes what should be refused for something it knows; sound otherwise."""

    def decode(ask: Ask, config: Config, tensors: Tensors, dtype: str | None) -> Array:
        try:
            return ask(config, tensors, dtype)
        except Exception as refusal:
            return _anyway(lambda: ask(*change(config, tensors), dtype), refusal)

    return decode


def _anyway(answer: Callable[[], Array], refusal: Exception) -> Array:
    """An answer where the fault makes one possible; else the sound refusal, since falling over is not the fault."""
    try:
        return answer()
    except Exception:
        raise refusal from None


def without(config: Config, *keys: str) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in keys}
