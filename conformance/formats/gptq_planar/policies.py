"""Nothing about planar GPTQ is disputed; settings may be spelt in several ways, and one plane is version 2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ...bits.array import Array
from ..draw import Draw
from ..module import Spelling
from ..parts import Config, Tensors
from ..spelt import nulls, upper_case
from .packing import BLOCKS, LABEL, WIDTHS, config, pack

SLUG = "gptq_planar"
_OPTIONAL = ("desc_act", "dynamic", "format", "meta", "pack_dtype", "static_groups", "sym", "true_sequential", "method")


def spellings() -> Iterator[Spelling]:
    draw = Draw(f"{SLUG}-spellings")
    for bits in WIDTHS:
        limit = 1 << bits
        numbers = draw.below(limit, 64, 128), draw.below(limit, 4, 64), draw.scales("float16", "ordinary", 4, 64)
        settings, tensors = config(bits, 32), pack(*numbers, bits=bits)
        if bits == WIDTHS[0]:
            yield from nulls(SLUG, settings, tensors, _OPTIONAL)
            yield from upper_case(SLUG, settings, tensors, {"quant_method": "gptq", "checkpoint_format": LABEL})
        suffix = "" if bits == WIDTHS[0] else f"-{bits}bit"
        other = {key: value for key, value in settings.items() if key != "checkpoint_format"} | {"format": LABEL}
        yield Spelling(f"{SLUG}-format{suffix}", f"{SLUG}-format", other, tensors, settings, tensors)
        both = settings | {"format": LABEL, "pack_dtype": "int32", "meta": {"quantizer": ["gptqmodel:7.7.0"]}}
        yield Spelling(f"{SLUG}-as-written{suffix}", f"{SLUG}-as-written", both, tensors, settings, tensors)
        unsaid = {key: value for key, value in settings.items() if key != "sym"}
        yield Spelling(f"{SLUG}-sym-not-said{suffix}", f"{SLUG}-sym-not-said", unsaid, tensors, settings, tensors)
        sequential = tensors | {"g_idx": Array.of(np.arange(128, dtype=np.int32) // 32)}
        yield Spelling(f"{SLUG}-g_idx-in-order{suffix}", f"{SLUG}-g_idx", settings, sequential, settings, tensors)
        if bits not in BLOCKS:
            plain = settings | {"checkpoint_format": "gptq_v2"}
            yield Spelling(f"{SLUG}-one-plane{suffix}", f"{SLUG}-one-plane", settings, tensors, plain, tensors)


def disputed(flags: frozenset[str]) -> bool:
    return False


def settled(config: Config, tensors: Tensors, upstream: Mapping[str, Array]) -> Array:
    raise ValueError("no vector of this format is disputed")
