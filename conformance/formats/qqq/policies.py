"""Nothing about QQQ is disputed; settings may be spelt in several ways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ...bits.array import Array
from ..draw import Draw
from ..module import Spelling
from ..parts import Config, Tensors
from ..spelt import nulls, upper_case
from .packing import SLUG, config, pack

_OPTIONAL = ("checkpoint_format", "desc_act", "dynamic", "format", "meta", "method", "pack_dtype", "sym", "wbits")
_Module = tuple[Config, Tensors]


def spellings() -> Iterator[Spelling]:
    draw = Draw(f"{SLUG}-spellings")
    codes, scales = draw.below(16, 128, 256), draw.scales("float32", "ordinary", 1, 128)
    grown = Array.of((draw.below(1 << 10, 2, 128) / 32).astype(np.float16))
    grouped = config(4, 128), pack(codes, codes, scales, grown)
    alone = config(4, -1), pack(codes, codes, scales)

    def one(id: str, about: str, other: Config, plain: _Module, given: Tensors | None = None) -> Spelling:
        own = dict(plain[1] if given is None else given)
        return Spelling(f"{SLUG}-{id}", f"{SLUG}-{about}", dict(other), own, dict(plain[0]), dict(plain[1]))

    for suffix, plain in (("", grouped), ("-one-group", alone)):
        settings = plain[0]
        for key in ("format", "checkpoint_format"):
            yield one(f"{key}{suffix}", "format", settings | {key: SLUG}, plain)
        short = {"quant_method": SLUG, "wbits": 4, "group_size": settings["group_size"]}
        yield one(f"wbits{suffix}", "wbits", short, plain)
        meta = {"meta": {"quantizer": ["gptqmodel:7.7.0"]}, "pack_dtype": "int32", "lm_head": False}
        both = {"wbits": 4, "method": SLUG, "format": SLUG, "checkpoint_format": SLUG}
        yield one(f"as-written{suffix}", "as-written", settings | both | meta, plain)
    bare = {name: array for name, array in alone[1].items() if name != "s_group"}
    yield one("no-s_group", "no-s_group", alone[0], alone, bare)
    yield one("group-size-of-all", "group-size", config(4, 256), alone)
    yield from nulls(SLUG, grouped[0], grouped[1], _OPTIONAL)
    names = {"quant_method": SLUG, "checkpoint_format": SLUG, "format": SLUG}
    yield from upper_case(SLUG, grouped[0], grouped[1], names)


def disputed(flags: frozenset[str]) -> bool:
    return False


def settled(config: Config, tensors: Tensors, upstream: Mapping[str, Array]) -> Array:
    raise ValueError("no vector of this format is disputed")
