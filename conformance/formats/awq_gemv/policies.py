"""Nothing about AWQ gemv is disputed; its settings may be spelt in several ways, and its padding may hold anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ...bits.array import Array
from ..dialects.awq import OPTIONAL
from ..draw import Draw
from ..module import Spelling
from ..parts import Config, Tensors
from ..spelt import nulls, upper_case
from .packing import config, pack


def spellings() -> Iterator[Spelling]:
    draw, settings = Draw("awq_gemv-spellings"), config(4, 128)
    tensors = pack(draw.below(16, 64, 256), draw.below(16, 2, 64), draw.scales("float16", "ordinary", 2, 64))
    yield from nulls("awq_gemv", settings, tensors, [key for key in OPTIONAL if key != "version"])
    old = {"w_bit": 4, "q_group_size": 128, "version": "GEMV", "zero_point": True}
    yield from nulls("awq_gemv", old, tensors, ("quant_method",))
    yield from upper_case("awq_gemv", settings, tensors, {"quant_method": "awq", "version": "gemv"})
    filled = dict(tensors)
    for name in ("qzeros", "scales"):
        bits = tensors[name].bits.copy()
        # Two of eight groups are there: the words of zero points end in six nibbles of nobody.
        padding = bits if name == "qzeros" else bits[:, 2:]
        padding |= np.array(-256, np.int32) if name == "qzeros" else np.array(0x3C01, np.uint16)
        filled[name] = Array(tensors[name].dtype, bits)
    yield Spelling("awq_gemv-filled-padding", "padding", settings, filled, settings, tensors)


def disputed(flags: frozenset[str]) -> bool:
    return False


def settled(config: Config, tensors: Tensors, upstream: Mapping[str, Array]) -> Array:
    raise ValueError("no vector of this format is disputed")
