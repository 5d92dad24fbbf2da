"""Nothing about AWQ gemm is disputed; its settings may be spelt in several ways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ...bits.array import Array
from ...bits.rounding import nearest
from ..dialects.awq import OPTIONAL
from ..draw import Draw
from ..module import Spelling
from ..parts import Config, Tensors
from ..spelt import nulls, upper_case
from .packing import config, pack


def spellings() -> Iterator[Spelling]:
    # Groups of 128 inputs and codes of 4 bits are what no settings at all mean.
    draw, settings = Draw("awq-spellings"), config(4, 128)
    scales = draw.scales("float16", "ordinary", 2, 64)
    tensors = pack(draw.below(16, 64, 256), draw.below(16, 2, 64), scales)
    yield from nulls("awq", settings, tensors, OPTIONAL)
    old = {"w_bit": 4, "q_group_size": 128, "version": "GEMM", "zero_point": True}
    yield from nulls("awq", old, tensors, ("quant_method",))
    # Without a version, a label under another key would be looked at.
    bare = {key: value for key, value in settings.items() if key != "version"}
    yield from nulls("awq-unversioned", bare, tensors, ("version", "format", "checkpoint_format", "backend"))
    yield from _divided()
    yield from upper_case("awq", settings, tensors, {"quant_method": "awq", "version": "gemm"})


def _divided() -> Iterator[Spelling]:
    """Divisors that stand for nothing, and those of which a scale of a group says the same."""
    draw, settings = Draw("awq-divisors"), config(4, 64)
    codes, zeros = draw.below(16, 40, 128), draw.below(16, 2, 40)
    scales = draw.scales("float16", "ordinary", 2, 40)
    plain = pack(codes, zeros, scales)

    def spelling(name: str, tensors: Tensors, other: Tensors) -> Spelling:
        return Spelling(f"awq-{name}", f"awq-{name}", settings, dict(tensors), settings, dict(other))

    def divided(values: np.ndarray, dtype: str = "float16") -> Tensors:
        return pack(codes, zeros, scales, divisors=nearest(values, dtype))

    yield spelling("divisors-of-one", divided(np.ones(128)), plain)
    halves = nearest(scales.float64() / np.array([[0.5], [4.0]]), "float16")
    yield spelling("divisors-of-a-group", divided(np.repeat(np.array([0.5, 4.0]), 64)), pack(codes, zeros, halves))
    values = draw.below(255, 128) / 64 + 1 / 64
    yield spelling("divisors-float32", divided(values, "float32"), divided(values))


def disputed(flags: frozenset[str]) -> bool:
    return False


def settled(config: Config, tensors: Tensors, upstream: Mapping[str, Array]) -> Array:
    raise ValueError("no vector of this format is disputed")
