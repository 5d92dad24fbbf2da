"""Where producers store the same MXFP4 module in two ways (reasons: docs/policies.md). No vector is disputed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ...bits.array import Array
from ..module import Spelling
from ..parts import Config, Tensors
from .packing import DEEPSEEK, GPT_OSS, blocks, compressed, flat, halves, modelopt

_Pair = tuple[str, dict[str, Any], dict[str, Array], dict[str, Any], dict[str, Array]]


def spellings() -> Iterator[Spelling]:
    for id, config, tensors, plain_config, plain in _pairs():
        yield Spelling(f"mxfp4-{id}", f"mxfp4-{id}", config, tensors, plain_config, plain)


def _pairs() -> Iterator[_Pair]:
    rng = np.random.default_rng(20261129)
    codes, bytes_ = rng.integers(0, 16, (48, 96)), rng.integers(90, 160, (48, 3)).astype(np.uint8)
    plain_config, plain = compressed(), flat(codes, bytes_)
    gpt_oss = blocks(codes, bytes_)
    yield "blocks-and-scales", GPT_OSS, gpt_oss, plain_config, plain
    byte, small = {"weight": plain["weight_packed"]}, {"weight_scale": plain["weight_scale"]}
    yield "modelopt", modelopt(), byte | small, plain_config, plain
    yield "modelopt-w4a8", modelopt("W4A8_MXFP4_FP8"), byte | small, plain_config, plain
    yield "modelopt-lower-case", modelopt("mxfp4"), byte | small, modelopt(), byte | small
    yield "modelopt-group_size", modelopt() | {"group_size": 32}, byte | small, modelopt(), byte | small
    scale = {"input_scale": Array.of(np.array(0.0123, np.float32))}
    yield "modelopt-input_scale", modelopt(), byte | small | scale, modelopt(), byte | small
    named = {"weight_scale": Array("float8_e8m0fnu", bytes_)}
    yield "exponents-named-e8m0", plain_config, plain | named, plain_config, plain
    yield "modules_to_not_convert-null", GPT_OSS | {"modules_to_not_convert": None}, gpt_oss, GPT_OSS, gpt_oss
    yield "modules_to_not_convert-absent", {"quant_method": "mxfp4"}, gpt_oss, GPT_OSS, gpt_oss
    yield "dequantize", GPT_OSS | {"dequantize": True}, gpt_oss, GPT_OSS, gpt_oss
    yield "capitals", GPT_OSS | {"quant_method": "MXFP4"}, gpt_oss, GPT_OSS, gpt_oss
    group = plain_config["config_groups"]["group_0"]
    own = {"format": "mixed-precision", "config_groups": {"group_0": group | {"format": plain_config["format"]}}}
    yield "ct-format-of-the-group", plain_config | own, plain, plain_config, plain
    written = compressed(scale_dtype="torch.uint8", zp_dtype=None, observer="minmax")
    yield "ct-scale_dtype", written, plain, plain_config, plain
    scale = {"input_global_scale": Array.of(np.array([0.0123], np.float32))}
    yield "ct-input_global_scale", plain_config, plain | scale, plain_config, plain
    experts = halves(codes, bytes_)
    yield "deepseek", DEEPSEEK, experts, plain_config, plain
    plain_bytes = {"scale": Array("uint8", bytes_)}
    yield "deepseek-exponents-as-bytes", DEEPSEEK, experts | plain_bytes, DEEPSEEK, experts
    # Experts have no blocks of the others' size.
    other = DEEPSEEK | {"weight_block_size": [32, 32]}
    yield "deepseek-blocks-of-others", other, experts, DEEPSEEK, experts
    # A byte of 0 is 2**-127, also where the others of an output are ordinary.
    lowest = bytes_ * np.array([0, 1, 1], np.uint8)
    yield "zero-byte", GPT_OSS, blocks(codes, lowest), plain_config, flat(codes, lowest)


def disputed(flags: frozenset[str]) -> bool:
    return False


def settled(config: Config, tensors: Tensors, upstream: Mapping[str, Array]) -> Array:
    raise ValueError("no vector of this format is disputed")
