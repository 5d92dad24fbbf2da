"""Nothing about Marlin's tiles is disputed; settings and tensors may be called by several names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ...bits.array import Array
from ..draw import Draw
from ..module import Spelling
from ..parts import Config, Tensors
from ..spelt import nulls, upper_case
from .packing import AWQ, ZERO, awq, config, pack

SLUG = "gptq_marlin"
_OPTIONAL = ("checkpoint_format", "desc_act", "format", "meta", "method", "static_groups", "sym", "true_sequential")


def spellings() -> Iterator[Spelling]:
    draw = Draw(f"{SLUG}-spellings")
    for size, groups in ((128, 2), (-1, 1)):
        suffix = "" if groups > 1 else "-one-group"
        codes, zeros = draw.below(16, 128, 256), np.full((groups, 128), ZERO)
        scales = draw.scales("float16", "ordinary", groups, 128)
        settings, tensors = config(4, size), pack(codes, zeros, scales)
        named = pack(codes, zeros, scales, named=AWQ)
        yield Spelling(f"{SLUG}-names{suffix}", f"{SLUG}-names", awq(size), named, settings, tensors)
        unlabelled = {key: value for key, value in settings.items() if key != "is_marlin_format"}
        for key in ("checkpoint_format", "format"):
            other = unlabelled | {key: "marlin"}
            yield Spelling(f"{SLUG}-{key}{suffix}", f"{SLUG}-label", other, tensors, settings, tensors)
        for key in ("version", "format"):
            other = {name: value for name, value in awq(size).items() if name != "version"} | {key: "marlin"}
            yield Spelling(f"{SLUG}-awq-{key}{suffix}", f"{SLUG}-label", other, named, settings, tensors)
        if groups > 1:
            yield from nulls(SLUG, settings, tensors, _OPTIONAL)
            yield from upper_case(SLUG, unlabelled, tensors, {"checkpoint_format": "marlin"})
            yield from upper_case(f"{SLUG}-awq", awq(size), named, {"quant_method": "awq", "version": "marlin"})


def disputed(flags: frozenset[str]) -> bool:
    return False


def settled(config: Config, tensors: Tensors, upstream: Mapping[str, Array]) -> Array:
    raise ValueError("no vector of this format is disputed")
