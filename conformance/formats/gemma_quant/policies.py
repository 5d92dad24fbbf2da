"""Where one module of Gemma's integers is stored in two ways. No vector is disputed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ...bits.array import Array
from ..draw import Draw
from ..module import Spelling
from ..parts import Config, Tensors
from ..spelt import nulls, upper_case
from .packing import BITS, EMBEDDING, LINEAR, METHOD, RULES, config, pack

SLUG = "gemma_quant"


def spellings() -> Iterator[Spelling]:
    draw, plain = Draw(f"{SLUG}-spellings"), config(4)
    codes = draw.below(16, 24, 40)
    tensors = pack(codes, codes, draw.scales("float32", "ordinary", 1, 24))

    def spelling(id: str, config: Config, own: Tensors = tensors) -> Spelling:
        return Spelling(f"{SLUG}-{id}", f"{SLUG}-{id}", dict(config), dict(own), plain, tensors)

    yield spelling("bare", {"quant_method": METHOD})
    yield spelling("no-num_bits", {key: value for key, value in plain.items() if key != BITS})
    yield spelling("embedding", plain, dict(zip(EMBEDDING, (tensors[name] for name in LINEAR), strict=True)))
    yield spelling("rules", plain | {RULES: {r"mlp\.(up|gate)_proj$": {BITS: 2}, "self_attn": {}}})
    yield spelling("quantize_embeddings", plain | {"quantize_embeddings": True})
    yield spelling("everything-left-out", plain | {"modules_to_not_convert": [".*"]})
    for label, value in (("uncalibrated", 0.0), ("clamped", 0.0123)):
        scale = Array.of(np.array(value, np.float32))
        both = {"input_activation_scale": scale, "output_activation_scale": scale}
        yield spelling(f"{label}-activations", plain, tensors | both)
    yield from nulls(SLUG, plain, tensors, (RULES, "modules_to_not_convert"))
    yield from upper_case(SLUG, plain, tensors, {"quant_method": METHOD})


def disputed(flags: frozenset[str]) -> bool:
    return False


def settled(config: Config, tensors: Tensors, upstream: Mapping[str, Array]) -> Array:
    raise ValueError("no vector of this format is disputed")
