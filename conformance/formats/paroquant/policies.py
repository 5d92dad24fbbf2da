"""Nothing about ParoQuant is disputed in its vectors; settings and tensors may be spelt in several ways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ...bits.array import Array
from ..draw import Draw
from ..module import Spelling
from ..parts import Config, Tensors
from ..spelt import nulls, upper_case
from .packing import ANGLES, COLUMNS, SLUG, config, laid

_OPTIONAL = (
    "bits",
    "checkpoint_format",
    "dynamic",
    "format",
    "krot",
    "meta",
    "method",
    "modules_to_not_convert",
    "sym",
)


def spellings() -> Iterator[Spelling]:
    draw, plain = Draw(f"{SLUG}-spellings"), config(4, 128, 2)
    codes, zeros = draw.below(16, 64, 256), draw.below(16, 2, 64)
    pairs = np.argsort(draw.below(2**62, 2, 2, 128), axis=2, kind="stable").reshape(2, -1, 2)
    turns = ((draw.below(6000, 2, 128) - 3000) / 1000).astype(np.float16)
    columns = Array.of(((draw.below(1 << 11, 256) + 256) / 1024).astype(np.float16))
    scales = draw.scales("float16", "ordinary", 2, 64)
    tensors = laid(codes, zeros, scales, pairs, Array.of(turns), columns)

    def one(id: str, about: str, config: Config, own: Tensors = tensors) -> Spelling:
        return Spelling(f"{SLUG}-{id}", f"{SLUG}-{about}", dict(config), dict(own), plain, tensors)

    for key in ("format", "checkpoint_format"):
        yield one(key, "label", plain | {key: SLUG})
    yield one("no-krot", "no-krot", config(4, 128))
    yield one("bare", "defaults", {"quant_method": SLUG})
    meta = {"meta": {"quantizer": ["gptqmodel:7.7.0"]}, "pack_dtype": "int32", "lm_head": False, "desc_act": False}
    written = {"method": SLUG, "format": SLUG, "checkpoint_format": SLUG, "sym": True}
    yield one("as-written", "as-written", plain | written | meta)
    yield one("w_bit", "as-written", {"quant_method": SLUG, "w_bit": 4, "q_group_size": 128, "krot": 2})
    # By the opposite angle the other input of a pair comes first; groups keep their pairs in any order.
    swapped = laid(codes, zeros, scales, pairs[:, :, ::-1], Array.of(-turns), columns)
    yield one("swapped-pairs", "pairs", plain, swapped)
    order = np.concatenate([draw.shuffled(np.arange(64)), 64 + draw.shuffled(np.arange(64))])
    other = laid(codes, zeros, scales, pairs[:, order], Array.of(np.ascontiguousarray(turns[:, order])), columns)
    yield one("other-order", "pairs", plain, other)
    yield one("columns-of-one-axis", "columns", plain, tensors | {COLUMNS: columns})
    yield one("wider-angles", "angles", plain, tensors | {ANGLES: Array.of(turns.astype(np.float32))})
    yield from nulls(SLUG, plain, tensors, _OPTIONAL)
    yield from upper_case(SLUG, plain, tensors, {"quant_method": SLUG, "checkpoint_format": SLUG, "format": SLUG})


def disputed(flags: frozenset[str]) -> bool:
    return False


def settled(config: Config, tensors: Tensors, upstream: Mapping[str, Array]) -> Array:
    raise ValueError("no vector of this format is disputed")
