"""Where one module of FP8 in parts is stored in two ways. No vector is disputed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ...bits.array import Array
from ..draw import Draw
from ..fp8.grid import LEGAL
from ..module import Spelling
from ..parts import Config, Tensors
from ..spelt import nulls, upper_case
from ..torchao_int8.packing import described
from .packing import QUANTO, TORCHAO, entry, quanto, stored, torchao

SLUG = "fp8_parts"


def spellings() -> Iterator[Spelling]:
    draw, plain = Draw(f"{SLUG}-spellings"), quanto()
    codes, scales = LEGAL[draw.below(len(LEGAL), 24, 40)], draw.scales("float16", "ordinary", 24, 1)
    tensors = stored(QUANTO, codes, scales)

    def spelling(id: str, config: Config, given: Tensors = tensors) -> Spelling:
        return Spelling(f"{SLUG}-{id}", f"{SLUG}-{id}", dict(config), dict(given), plain, tensors)

    yield spelling("of-transformers", quanto("float8", None) | {"modules_to_not_convert": ["lm_head"]})
    yield spelling("map", {"quantization_map": {"": {"weights": "qfloat8_e4m3fn"}}} | plain)
    beside = {name: Array.of(np.array(0.5, np.float16)) for name in ("input_scale", "output_scale")}
    yield spelling("activations", quanto("qfloat8_e4m3fn", "qint8"), tensors | beside)
    one = draw.scales("float32", "ordinary", 1, 1)
    whole, own = torchao((24, 40)), stored(TORCHAO, codes, one)
    id = f"{SLUG}-no-block"
    without = stored(TORCHAO, codes, Array("float32", one.bits.reshape(())))
    yield Spelling(id, id, described(entry([])), without, whole, own)
    dynamic = torchao((24, 40), act_quant_kwargs={"_type": "QuantizeTensorToFloat8Kwargs", "_data": {}})
    yield Spelling(f"{SLUG}-dynamic", f"{SLUG}-activations", dynamic, own, whole, own)
    yield from nulls(SLUG, plain, tensors, ("activations", "modules_to_not_convert"))
    yield from upper_case(SLUG, plain, tensors, {"quant_method": QUANTO})


def disputed(flags: frozenset[str]) -> bool:
    return False


def settled(config: Config, tensors: Tensors, upstream: Mapping[str, Array]) -> Array:
    raise ValueError("no vector of this format is disputed")
