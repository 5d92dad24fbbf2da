"""Where one module of torchao's bytes is stored in two ways. No vector is disputed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ...bits.array import Array
from ..module import Spelling
from ..parts import Config, Tensors
from ..spelt import nulls, upper_case
from .packing import BYTES, METHOD, NARROW, ZEROS, described, entry, pack, without_zeros


def spellings() -> Iterator[Spelling]:
    rng = np.random.default_rng(20261130)
    codes, zeros = rng.integers(0, 256, (24, 64)), rng.integers(0, 256, (2, 24))
    scales = Array.of((rng.random((2, 24)) + 0.01).astype(np.float32))
    own = entry(BYTES, (1, 32))
    plain, tensors = described(own), pack(codes, zeros, scales)

    def spelling(id: str, config: Config, given: Tensors = tensors) -> Spelling:
        return Spelling(f"torchao_int8-{id}", f"torchao_int8-{id}", dict(config), dict(given), plain, tensors)

    yield spelling("no-quant_type", {key: value for key, value in plain.items() if key != "quant_type"})
    recipe: dict[str, Any] = {"_type": "Int4WeightOnlyConfig", "_version": 2, "_data": {"group_size": 128}}
    yield spelling("another-recipe", plain | {"quant_type": {"default": recipe}})
    text = json.dumps(dict(reversed(own.items())), indent=2)
    yield spelling("spaces", plain | {"metadata": {"weight": text}})
    kwargs = {
        "_type": "QuantizeTensorToInt8Kwargs",
        "_data": {"granularity": {"_type": "PerRow", "_data": {"dim": -1}}},
    }
    yield spelling("dynamic-activations", described(entry(BYTES, (1, 32), act_quant_kwargs=kwargs)))
    parts = [*own["_tensor_data_names"], "act_quant_scale", "act_quant_zero_point"]
    beside = {
        "_weight_act_quant_scale": Array.of(np.ones((1, 1), np.float32)),
        "_weight_act_quant_zero_point": Array.of(np.zeros((1, 1), np.int8)),
    }
    yield spelling("static-activations", described(own | {"_tensor_data_names": parts}), tensors | beside)
    target = {"_type": "torch.dtype", "_data": "int8"}
    yield spelling("narrow", described(entry(NARROW, (1, 32), target_dtype=target)))
    nothing = pack(codes, np.full_like(zeros, 128), scales)
    bare = {name: array for name, array in nothing.items() if name != ZEROS}
    id = "torchao_int8-zeros-of-zero"
    yield Spelling(id, id, plain, nothing, described(without_zeros(own)), bare)
    yield from nulls("torchao_int8", plain, tensors, ("quant_type", "modules_to_not_convert"))
    yield from upper_case("torchao_int8", plain, tensors, {"quant_method": METHOD})


def disputed(flags: frozenset[str]) -> bool:
    return False


def settled(config: Config, tensors: Tensors, upstream: Mapping[str, Array]) -> Array:
    raise ValueError("no vector of this format is disputed")
