"""Nothing about AWQ gemm is disputed; its settings may be spelt in several ways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...bits.array import Array
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
    yield from upper_case("awq", settings, tensors, {"quant_method": "awq", "version": "gemm"})


def disputed(flags: frozenset[str]) -> bool:
    return False


def settled(config: Config, tensors: Tensors, upstream: Mapping[str, Array]) -> Array:
    raise ValueError("no vector of this format is disputed")
