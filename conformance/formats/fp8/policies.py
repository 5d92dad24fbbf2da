"""Where producers store the same FP8 module in two ways (reasons: docs/policies.md). No vector is disputed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ...bits.array import Array
from ..dialects import deepseek
from ..module import Spelling
from ..parts import Config, Tensors
from .grid import LEGAL
from .packing import blocks, compressed, fbgemm, modelopt


def spellings() -> Iterator[Spelling]:
    for id, config, tensors, plain_config, plain in _pairs():
        yield Spelling(f"fp8-{id}", f"fp8-{id}", config, tensors, plain_config, plain)


_Pair = tuple[str, dict[str, Any], dict[str, Array], dict[str, Any], dict[str, Array]]


def _pairs() -> Iterator[_Pair]:
    rng = np.random.default_rng(20261125)
    weight = Array("float8_e4m3fn", LEGAL[rng.integers(0, len(LEGAL), (64, 96))].astype(np.uint8))
    plain = blocks((32, 32))
    bytes_ = rng.integers(100, 140, (2, 3)).astype(np.uint8)
    named = {"weight": weight, "weight_scale_inv": Array("float8_e8m0fnu", bytes_)}
    powers = Array.of(np.ldexp(np.float32(1), bytes_.astype(np.int32) - 127))
    floats = {"weight": weight, "weight_scale_inv": powers}
    ue8m0 = blocks((32, 32), "ue8m0")
    yield "exponents-as-bytes", ue8m0, named | {"weight_scale_inv": Array("uint8", bytes_)}, ue8m0, named
    yield "exponents-as-float32", ue8m0, floats, ue8m0, named
    # The tensors say what the scales are, whatever scale_fmt says.
    yield "exponents-labelled-float", plain, named, ue8m0, named
    yield "scale_fmt-absent", {key: value for key, value in plain.items() if key != "scale_fmt"}, floats, plain, floats
    yield "fmt-e4m3", plain | {"fmt": "e4m3"}, floats, plain, floats
    renamed = {"weight": weight, "weight_scale": powers}
    yield "weight_scale", plain, renamed, plain, floats
    scale = Array.of(np.array([0.0123], np.float32))
    yield "input_scale", plain, floats | {"input_scale": scale}, plain, floats
    yield "activation_scale", plain, floats | {"activation_scale": scale}, plain, floats
    yield "ignored_layers", plain | {"ignored_layers": ["lm_head"]}, floats, plain, floats
    large = {"weight": weight, "weight_scale_inv": Array.of(np.array([[0.3]], np.float32))}
    unsaid = {key: value for key, value in plain.items() if key != "weight_block_size"}
    yield "weight_block_size-absent", unsaid, large, blocks((128, 128)), large
    one = blocks(None)
    for id, shape in (("scalar", ()), ("one-axis", (1,))):
        given = {"weight": weight, "weight_scale_inv": Array.of(np.full(shape, 0.3, np.float32))}
        yield f"tensor-{id}", one, given, one, large
    column = rng.random((64, 1)).astype(np.float32)
    outputs = {"weight": weight, "weight_scale_inv": Array.of(column)}
    yield "channel-one-axis", one, outputs | {"weight_scale_inv": Array.of(column[:, 0])}, one, outputs
    group = Array("uint8", rng.integers(100, 140, (64, 3)).astype(np.uint8))
    mx = {"weight": weight, "weight_scale": group}
    # Powers of two lose nothing when they are rounded to bfloat16 first.
    yield (
        "modelopt-mxfp8",
        modelopt("MXFP8"),
        mx,
        blocks((1, 32), "ue8m0"),
        {"weight": weight, "weight_scale_inv": group},
    )
    yield "modelopt-lower-case", modelopt("mxfp8"), mx, modelopt("MXFP8"), mx
    block = {"weight": weight, "weight_scale": Array.of(np.array([[[[0.3]]]], np.float32))}
    flat = {"weight": weight, "weight_scale": Array.of(np.array([[0.3]], np.float32))}
    yield "modelopt-four-axes", modelopt("fp8_pb_wo"), block, modelopt("fp8_pb_wo"), flat
    yield from _compressed(weight, column, bytes_)
    v4 = {"weight": weight, "scale": named["weight_scale_inv"]}
    yield "deepseek", deepseek.config((32, 32)), v4, ue8m0, named
    said = deepseek.config((32, 32), expert_dtype="fp8")
    yield "deepseek-experts", said, v4, deepseek.config((32, 32)), v4
    yield "deepseek-float32", deepseek.config((32, 32)), {"weight": weight, "scale": powers}, ue8m0, floats
    rows = Array("float8_e8m0fnu", group.bits)
    by_row = {"weight": weight, "scale": rows}
    in_rows = {"weight": weight, "weight_scale_inv": rows}
    yield "deepseek-scales-of-rows", deepseek.config((32, 32)), by_row, blocks((1, 32), "ue8m0"), in_rows
    by_output = {"weight": weight, "weight_scale": Array.of(column)}
    yield "fbgemm", fbgemm(), by_output, one, outputs
    yield "fbgemm-says-no-more", {"quant_method": "fbgemm_fp8"}, by_output, fbgemm(), by_output
    bound = fbgemm(activation_scale_ub=0.5)
    yield "fbgemm-bound-of-activations", bound, by_output, fbgemm(), by_output
    # Powers of two, which every float has: the weights are bfloat16 whatever the scales are.
    exponents = np.ldexp(1.0, rng.integers(-9, 0, (64, 1)))
    narrow = {"weight": weight, "weight_scale": Array.of(exponents.astype(np.float16))}
    single = narrow | {"weight_scale": Array.of(exponents.astype(np.float32))}
    yield "fbgemm-float16", fbgemm(), narrow, fbgemm(), single


def _compressed(weight: Array, column: np.ndarray, bytes_: np.ndarray) -> Iterator[_Pair]:
    """compressed-tensors has had other names and forms: a block as a text, and no strategy."""
    outputs = {"weight": weight, "weight_scale": Array.of(column)}
    channel = compressed("float-quantized", "channel")
    yield "ct-naive-quantized", compressed("naive-quantized", "channel"), outputs, channel, outputs
    group = channel["config_groups"]["group_0"]
    own = channel | {"format": "mixed-precision", "config_groups": {"group_0": group | {"format": "float-quantized"}}}
    yield "ct-format-of-the-group", own, outputs, channel, outputs
    scale = {"input_scale": Array.of(np.array([0.0123], np.float32))}
    yield "ct-input_scale", channel, outputs | scale, channel, outputs
    blocks_ = {"weight": weight, "weight_scale": Array.of(np.ldexp(np.float32(1.5), bytes_.astype(np.int32) - 127))}
    listed = compressed("float-quantized", "block", block_structure=[32, 32])
    text = compressed("float-quantized", "block", block_structure="32x32")
    yield "ct-block-as-text", text, blocks_, listed, blocks_
    one = {"weight": weight, "weight_scale": Array.of(np.array([0.3], np.float32))}
    tensor = compressed("float-quantized", "tensor")
    unsaid = compressed("float-quantized", "tensor")
    del unsaid["config_groups"]["group_0"]["weights"]["strategy"]
    yield "ct-strategy-absent", unsaid, one, tensor, one
    yield "ct-scale-without-axes", tensor, one | {"weight_scale": Array.of(np.array(0.3, np.float32))}, tensor, one


def disputed(flags: frozenset[str]) -> bool:
    return False


def settled(config: Config, tensors: Tensors, upstream: Mapping[str, Array]) -> Array:
    raise ValueError("no vector of this format is disputed")
