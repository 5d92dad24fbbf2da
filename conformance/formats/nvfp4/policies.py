"""Where producers store the same NVFP4 module in two ways (reasons: docs/policies.md). No vector is disputed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ...bits.array import Array
from ..module import Spelling
from ..parts import Config, Tensors
from .grid import USUAL
from .packing import compressed, modelopt, named

_Pair = tuple[str, dict[str, Any], dict[str, Array], dict[str, Any], dict[str, Array]]


def spellings() -> Iterator[Spelling]:
    for id, config, tensors, plain_config, plain in _pairs():
        yield Spelling(f"nvfp4-{id}", f"nvfp4-{id}", config, tensors, plain_config, plain)


def _pairs() -> Iterator[_Pair]:
    rng = np.random.default_rng(20261129)
    # ModelOpt and compressed-tensors part on the sign of code 8, and agree where the scale is a power of two.
    codes = rng.integers(0, 15, (48, 96))
    codes += codes >= 8
    bytes_ = USUAL[rng.integers(1, len(USUAL), (48, 6))]
    number = np.array(0.00031, np.float32)
    plain_config, plain = modelopt(), named(modelopt(), codes, bytes_, number)
    power = named(modelopt(), codes, bytes_, np.array(2.0**-11))
    yield "divisor", compressed(), named(compressed(), codes, bytes_, np.array([2.0**11])), plain_config, power
    yield "one-axis", plain_config, named(modelopt(), codes, bytes_, number.reshape(1)), plain_config, plain
    for algorithm in ("W4A16_NVFP4", "W4A8_NVFP4_FP8", "nvfp4"):
        yield f"modelopt-{algorithm.lower()}-by-name", modelopt(algorithm), plain, plain_config, plain
    yield "modelopt-group_size", plain_config | {"group_size": 16}, plain, plain_config, plain
    scale = {"input_scale": Array.of(np.array(0.0123, np.float32))}
    yield "modelopt-input_scale", plain_config, plain | scale, plain_config, plain
    eights = named(modelopt(), np.where(codes == 0, 8, codes), bytes_, number)
    yield "modelopt-code-8", plain_config, eights, plain_config, plain
    stack = codes.reshape(3, 16, 96), bytes_.reshape(3, 16, 6)
    own, flat = np.full((3, 1, 1), number), named(modelopt(), *stack, number)
    yield "experts-of-one-scale", modelopt(), flat, modelopt(), named(modelopt(), *stack, own)
    yield "experts-one-axis", modelopt(), named(modelopt(), *stack, own.ravel()), modelopt(), flat
    ct, tensors = compressed(), named(compressed(), codes, bytes_, np.array([3210.5]))
    group = ct["config_groups"]["group_0"]
    renamed = {"format": "mixed-precision", "config_groups": {"group_0": group | {"format": ct["format"]}}}
    yield "ct-format-of-the-group", ct | renamed, tensors, ct, tensors
    written = compressed(scale_dtype="torch.float8_e4m3fn", zp_dtype=None, observer="minmax", dynamic=False)
    yield "ct-scale_dtype", written, tensors, ct, tensors
    yield "ct-strategy-group", compressed(strategy="group"), tensors, ct, tensors
    scale = {"input_global_scale": Array.of(np.array([0.0123], np.float32))}
    yield "ct-input_global_scale", ct, tensors | scale, ct, tensors


def disputed(flags: frozenset[str]) -> bool:
    return False


def settled(config: Config, tensors: Tensors, upstream: Mapping[str, Array]) -> Array:
    raise ValueError("no vector of this format is disputed")
