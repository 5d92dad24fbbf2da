"""Nothing about metal is disputed; settings may be left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...bits.array import Array
from ..draw import Draw
from ..module import Spelling
from ..parts import Config, Tensors
from ..spelt import nulls, upper_case
from .packing import config, pack

SLUG = "metal"


def spellings() -> Iterator[Spelling]:
    draw, plain = Draw(f"{SLUG}-spellings"), config(4, 64)
    tensors = pack(draw.below(16, 24, 128), draw.below(16, 2, 24), draw.scales("float16", "ordinary", 2, 24))

    def spelling(id: str, config: Config, own: Tensors = tensors) -> Spelling:
        return Spelling(f"{SLUG}-{id}", f"{SLUG}-{id}", dict(config), dict(own), plain, tensors)

    # transformers' own defaults.
    yield spelling("bare", {"quant_method": "metal"})
    yield spelling("dequantize", plain | {"dequantize": True})
    yield spelling("signed-words", plain, tensors | {"weight": Array.of(tensors["weight"].bits.view("int32"))})
    yield from nulls(SLUG, plain, tensors, ("bits", "group_size", "modules_to_not_convert"))
    yield from upper_case(SLUG, plain, tensors, {"quant_method": "metal"})


def disputed(flags: frozenset[str]) -> bool:
    return False


def settled(config: Config, tensors: Tensors, upstream: Mapping[str, Array]) -> Array:
    raise ValueError("no vector of this format is disputed")
