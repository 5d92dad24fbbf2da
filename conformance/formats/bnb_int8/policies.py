"""Where one int8 module of bitsandbytes is stored in two ways. No vector is disputed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ...bits.array import Array
from ..dialects import bitsandbytes as dialect
from ..module import Spelling
from ..parts import Config, Tensors
from ..spelt import nulls, upper_case
from .packing import pack


def spellings() -> Iterator[Spelling]:
    rng = np.random.default_rng(20261129)
    codes = rng.integers(-128, 128, (24, 40))
    plain = dialect.config("int8")
    tensors = pack(codes, codes, Array.of((rng.random(24) + 0.01).astype(np.float32)))

    def spelling(id: str, config: Config, own: Tensors = tensors) -> Spelling:
        return Spelling(f"bnb_int8-{id}", f"bnb_int8-{id}", dict(config), dict(own), plain, tensors)

    yield spelling("no-quant_method", {key: value for key, value in plain.items() if key != "quant_method"})
    underlined = {key: value for key, value in plain.items() if key not in dialect.KEYS}
    yield spelling("underlined", underlined | {"_load_in_4bit": False, "_load_in_8bit": True})
    yield spelling("both-spellings", plain | {"_load_in_4bit": False, "_load_in_8bit": True})
    yield spelling("no-load_in_4bit", {key: value for key, value in plain.items() if key != "load_in_4bit"})
    yield spelling("skip-modules", plain | {"llm_int8_skip_modules": ["lm_head"]})
    yield spelling("threshold", plain | {"llm_int8_threshold": 0.0, "llm_int8_has_fp16_weight": True})
    yield spelling("no-weight_format", plain, {key: array for key, array in tensors.items() if key != "weight_format"})
    yield spelling("weight_format-with-an-axis", plain, tensors | {"weight_format": Array.of(np.zeros(1, np.uint8))})
    yield from nulls("bnb_int8", plain, tensors, ("load_in_4bit", "llm_int8_skip_modules"))
    yield from upper_case("bnb_int8", plain, tensors, {"quant_method": "bitsandbytes"})


def disputed(flags: frozenset[str]) -> bool:
    return False


def settled(config: Config, tensors: Tensors, upstream: Mapping[str, Array]) -> Array:
    raise ValueError("no vector of this format is disputed")
