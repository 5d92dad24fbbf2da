"""Where one module of torchao's MX or NVFP4 is stored in two ways. No vector is disputed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ...bits.array import Array
from ..draw import Draw
from ..fp8.grid import LEGAL
from ..module import Spelling
from ..nvfp4.grid import USUAL
from ..nvfp4.packing import number
from ..parts import Config, Tensors
from ..spelt import nulls, upper_case
from ..torchao_int8.packing import described
from .packing import ACTIVATIONS, FOURS, METHOD, MXFP4, MXFP8, SCALES, entry, stored, swizzled

SLUG = "torchao_mx"


def spellings() -> Iterator[Spelling]:
    draw = Draw(f"{SLUG}-spellings")
    eights, fours = LEGAL[draw.below(len(LEGAL), 40, 160)], draw.below(16, 40, 160)
    powers, small = draw.below(40, 40, 5) + 100, USUAL[draw.below(len(USUAL), 40, 10)]

    def spelling(id: str, policy: str, given: tuple[Any, Any], plain: tuple[Any, Any]) -> Spelling:
        return Spelling(f"{SLUG}-{id}", f"{SLUG}-{policy}", *given, *plain)

    def module(own: dict[str, Any], *numbers: Any) -> tuple[dict[str, Any], dict[str, Array]]:
        config = described(own)
        return config, stored(config, *numbers)

    for kind, codes, bytes_ in ((MXFP8, eights, powers), (MXFP4, fours, powers), (FOURS, fours, small)):
        config, tensors = module(entry(kind), codes, bytes_)
        rows = module(entry(kind, swizzled=False), codes, bytes_)
        yield spelling(f"{kind}-swizzled", "swizzled", (config, tensors), rows)
        for padding in (0x7F, 0xFF):
            own = tensors | {SCALES: Array(tensors[SCALES].dtype, swizzled(bytes_.astype(np.uint8), padding))}
            yield spelling(f"{kind}-padding-{padding:02x}", "padding", (config, own), (config, tensors))
        dynamic = entry(kind, act_quant_kwargs={"_type": "QuantizeTensorToMXKwargs", "_data": {"block_size": 32}})
        yield spelling(f"{kind}-dynamic", "activations", (described(dynamic), tensors), (config, tensors))
    plain = module(entry(FOURS), fours, small)
    yield spelling("scale-of-one", "scale-of-one", module(entry(FOURS, whole=True), fours, small, 1.0), plain)
    observed = entry(FOURS)
    observed["_tensor_data_names"] = ["act_per_tensor_scale", *observed["_tensor_data_names"]]
    beside = plain[1] | {ACTIVATIONS: number(0.0123)}
    yield spelling("observed", "activations", (described(observed), beside), plain)
    silent, rows = entry(FOURS), module(entry(FOURS, swizzled=False), fours, small)
    del silent["_data"]["is_swizzled_scales"]
    yield spelling("swizzled-absent", "swizzled-absent", (described(silent), rows[1]), rows)
    yield from nulls(SLUG, *plain, ("modules_to_not_convert",))
    yield from upper_case(SLUG, *plain, {"quant_method": METHOD})


def disputed(flags: frozenset[str]) -> bool:
    return False


def settled(config: Config, tensors: Tensors, upstream: Mapping[str, Array]) -> Array:
    raise ValueError("no vector of this format is disputed")
