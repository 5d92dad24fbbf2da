"""Where one module of ModelOpt's INT4 is stored in two ways (reasons: docs/policies.md). No vector is disputed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ...bits.array import Array
from ..module import Spelling
from ..parts import Config, Tensors
from ..spelt import nulls, upper_case
from .packing import modelopt, pack


def spellings() -> Iterator[Spelling]:
    rng = np.random.default_rng(20261129)
    codes = rng.integers(0, 16, (48, 128))
    scales = Array.of((rng.random((2, 48)) * 0.01 + 0.001).astype(np.float32))
    plain, tensors = modelopt(64), pack(codes, codes, scales)

    def spelling(id: str, config: Config, own: Tensors, other: Tensors = tensors) -> Spelling:
        return Spelling(f"modelopt_int4-{id}", f"modelopt_int4-{id}", dict(config), dict(own), plain, dict(other))

    yield spelling("no-group_size", modelopt(), tensors)
    yield spelling("flags", modelopt(64, has_zero_point=False, pre_quant_scale=True), tensors)
    yield spelling("cache-in-fp8", modelopt(64, kv_cache_quant_algo="FP8"), tensors)
    yield spelling("input_scale", plain, tensors | {"input_scale": Array.of(np.array([0.0123], np.float32))})
    # One multiplies nothing.
    yield spelling("inputs-of-one", plain, tensors | {"pre_quant_scale": Array.of(np.ones(128, np.float16))})
    # Powers of two, which no product rounds: the inputs' scales are the groups' then.
    halves: dict[str, Any] = {"pre_quant_scale": Array.of(np.repeat(np.array([0.5, 4.0]), 64).astype(np.float16))}
    moved = Array.of((scales.float64() * np.array([[0.5], [4.0]])).astype(np.float32))
    yield spelling("inputs-of-a-group", plain, tensors | halves, pack(codes, codes, moved))
    values = rng.integers(1, 256, 128) / 128
    wide, narrow = Array.of(values.astype(np.float32)), Array.of(values.astype(np.float16))
    yield spelling("inputs-float32", plain, tensors | {"pre_quant_scale": wide}, tensors | {"pre_quant_scale": narrow})
    yield from nulls("modelopt_int4", plain, tensors, ("group_size", "kv_cache_quant_algo"))
    yield from upper_case("modelopt_int4", plain, tensors, {"quant_algo": "w4a16_awq"})


def disputed(flags: frozenset[str]) -> bool:
    return False


def settled(config: Config, tensors: Tensors, upstream: Mapping[str, Array]) -> Array:
    raise ValueError("no vector of this format is disputed")
