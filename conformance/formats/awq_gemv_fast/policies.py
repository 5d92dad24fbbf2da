"""Nothing about AWQ gemv_fast is disputed; settings may be spelt in several ways, and padding may hold anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ...bits.array import Array
from ..dialects.awq import OPTIONAL
from ..draw import Draw
from ..module import Spelling
from ..parts import Config, Tensors
from ..spelt import nulls, upper_case
from .packing import config, llm_awq, pack

SLUG = "awq_gemv_fast"


def spellings() -> Iterator[Spelling]:
    draw, settings = Draw(f"{SLUG}-spellings"), config(4, 128)
    tensors = pack(draw.below(16, 64, 256), draw.below(16, 2, 64), draw.scales("float16", "ordinary", 2, 64))
    yield from nulls(SLUG, settings, tensors, [key for key in OPTIONAL if key != "version"])
    old = {"w_bit": 4, "q_group_size": 128, "version": "GEMV_FAST", "zero_point": True}
    yield from nulls(SLUG, old, tensors, ("quant_method",))
    yield from upper_case(SLUG, settings, tensors, {"quant_method": "awq", "version": "gemv_fast"})
    for label in ("gemvfast", "GEMVFast", "gemv-fast"):
        yield Spelling(f"{SLUG}-{label}", "case", settings | {"version": label}, tensors, settings, tensors)
    filled = dict(tensors)
    for name in ("qzeros", "scales"):
        bits = tensors[name].bits.copy()
        bits[2:] = 0x3C01
        filled[name] = Array(tensors[name].dtype, np.ascontiguousarray(bits))
    yield Spelling(f"{SLUG}-filled-padding", "padding", settings, filled, settings, tensors)
    renamed = {"scaled_zeros" if name == "qzeros" else name: array for name, array in tensors.items()}
    for backend in ("llm-awq", "LLM-AWQ", "llm_awq"):
        own = llm_awq(128) | {"backend": backend}
        yield Spelling(f"{SLUG}-backend-{backend}", "backend", own, renamed, settings, tensors)


def disputed(flags: frozenset[str]) -> bool:
    return False


def settled(config: Config, tensors: Tensors, upstream: Mapping[str, Array]) -> Array:
    raise ValueError("no vector of this format is disputed")
