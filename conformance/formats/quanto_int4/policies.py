"""Where one module of quanto's narrow codes is stored in two ways. No vector is disputed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ...bits.array import Array
from ..draw import Draw
from ..module import Spelling
from ..parts import Config, Tensors
from ..quanto_int8.packing import METHOD
from ..spelt import nulls, upper_case
from .packing import CODES, described, pack_floats

SLUG = "quanto_int4"


def spellings() -> Iterator[Spelling]:
    draw, plain = Draw(f"{SLUG}-spellings"), described("qint4", 64)
    scales, shifts = draw.scales("float16", "ordinary", 48), draw.scales("float16", "ordinary", 48)
    tensors = pack_floats(draw.below(16, 24, 64), shifts, scales)

    def spelling(id: str, config: Config, given: Tensors = tensors) -> Spelling:
        return Spelling(f"{SLUG}-{id}", f"{SLUG}-{id}", dict(config), dict(given), plain, tensors)

    yield spelling("of-transformers", described("int4", 64, None) | {"modules_to_not_convert": ["lm_head"]})
    one = {"weights": "qint4", "in_features": 64}
    yield spelling("map", {"quant_method": METHOD, "quantization_map": {"": one}} | one)
    beside = {name: Array.of(np.array(0.5, np.float16)) for name in ("input_scale", "output_scale")}
    yield spelling("activations", described("qint4", 64, "qint8"), tensors | beside)
    # Seven groups of two bits leave one field of a byte to nobody.
    two, own = described("qint2", 32), draw.scales("float16", "ordinary", 7)
    odd = pack_floats(draw.below(4, 7, 32), draw.scales("float16", "ordinary", 7), own, bits=2)
    spare = odd[CODES].bits.copy()
    spare[-1] |= 0xC0
    id = f"{SLUG}-spare-bits"
    yield Spelling(id, id, two, odd | {CODES: Array.of(spare)}, two, odd)
    yield from nulls(SLUG, plain, tensors, ("activations", "modules_to_not_convert"))
    yield from upper_case(SLUG, plain, tensors, {"quant_method": METHOD})


def disputed(flags: frozenset[str]) -> bool:
    return False


def settled(config: Config, tensors: Tensors, upstream: Mapping[str, Array]) -> Array:
    raise ValueError("no vector of this format is disputed")
