"""Where one module of quanto's bytes is stored in two ways. No vector is disputed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ...bits.array import Array
from ..module import Spelling
from ..parts import Config, Tensors
from ..spelt import nulls, upper_case
from .packing import METHOD, described, pack


def spellings() -> Iterator[Spelling]:
    rng = np.random.default_rng(20261201)
    scales = Array.of((rng.integers(1, 1 << 11, (1, 24)) * 2.0**-14).astype(np.float16))
    plain, tensors = described(), pack(rng.integers(0, 256, (24, 40)), scales.bits, scales)

    def spelling(id: str, config: Config, given: Tensors = tensors) -> Spelling:
        return Spelling(f"quanto_int8-{id}", f"quanto_int8-{id}", dict(config), dict(given), plain, tensors)

    yield spelling("of-transformers", described("int8", None) | {"modules_to_not_convert": ["lm_head"]})
    yield spelling("map", {"quant_method": METHOD, "quantization_map": {"": {"weights": "qint8"}}})
    beside = {name: Array.of(np.array(0.5, np.float16)) for name in ("input_scale", "output_scale")}
    yield spelling("scales-of-activations", plain, tensors | beside)
    yield spelling("activations", described("qint8", "qint8"), tensors | beside)
    yield from nulls("quanto_int8", plain, tensors, ("activations", "modules_to_not_convert"))
    yield from upper_case("quanto_int8", plain, tensors, {"quant_method": METHOD})


def disputed(flags: frozenset[str]) -> bool:
    return False


def settled(config: Config, tensors: Tensors, upstream: Mapping[str, Array]) -> Array:
    raise ValueError("no vector of this format is disputed")
