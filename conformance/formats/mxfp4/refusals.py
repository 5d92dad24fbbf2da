"""MXFP4 modules with one thing wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from .. import refusals as common
from ..module import Refusal
from .packing import DEEPSEEK, GPT_OSS, blocks, compressed, flat, halves, modelopt


def refusals() -> Iterator[Refusal]:
    yield from _stacks()
    yield from _matrices()
    yield from _experts()


def _stacks() -> Iterator[Refusal]:
    rng = np.random.default_rng(14)
    tensors = blocks(rng.integers(0, 16, (3, 8, 96)), rng.integers(100, 140, (3, 8, 3)))
    codes, scales = tensors["_blocks"], tensors["_scales"]

    def refusal(id: str, code: str, **changed: Array) -> Refusal:
        return Refusal(f"mxfp4-{id}", dict(GPT_OSS), tensors | changed, code)

    def shaped(array: Array, *shape: int) -> Array:
        return Array(array.dtype, np.resize(array.bits, shape))

    for label, at in (("first", (0, 0, 0)), ("middle", (1, 4, 1)), ("last", (2, 7, 2))):
        yield refusal(f"exponent-255-{label}", "non-finite-scales", _scales=common.changed(scales, at, 255))
    for leaf in tensors:
        yield Refusal(f"mxfp4-no{leaf}", dict(GPT_OSS), common.without(tensors, leaf), "missing-tensor")
    yield refusal("two-pairs", "unexpected-tensor", weight_packed=codes)
    yield refusal("zero-points", "unexpected-tensor", weight_zero_point=scales)
    for label, shape in (
        ("of-8-bytes", (3, 8, 6, 8)),
        ("of-17-bytes", (3, 8, 3, 17)),
        ("a-group-short", (3, 8, 2, 16)),
        ("an-output-short", (3, 7, 3, 16)),
        ("an-expert-short", (2, 8, 3, 16)),
        ("without-groups", (3, 8, 48)),
        ("turned", (3, 3, 8, 16)),
        ("one-axis", (1152,)),
        ("five-axes", (1, 3, 8, 3, 16)),
        ("empty", (3, 8, 0, 16)),
    ):
        yield refusal(f"blocks-{label}", "bad-shape", _blocks=shaped(codes, *shape))
    for label, shape in (("one-axis", (72,)), ("four-axes", (3, 8, 3, 1)), ("empty", (3, 0, 3))):
        yield refusal(f"scales-{label}", "bad-shape", _scales=shaped(scales, *shape))
    yield refusal("scales-float32", "bad-dtype", _scales=Array.of(np.ones((3, 8, 3), np.float32)))
    yield refusal("scales-int32", "bad-dtype", _scales=Array.of(np.ones((3, 8, 3), np.int32)))
    yield refusal("blocks-int32", "bad-dtype", _blocks=Array.of(np.ones((3, 8, 3, 16), np.int32)))


def _matrices() -> Iterator[Refusal]:
    rng = np.random.default_rng(15)
    codes, bytes_ = rng.integers(0, 16, (24, 64)), rng.integers(100, 140, (24, 2)).astype(np.uint8)
    tensors = flat(codes, bytes_)

    def refusal(id: str, code: str, config: dict[str, Any], **changed: Array) -> Refusal:
        return Refusal(f"mxfp4-ct-{id}", config, tensors | changed, code)

    nan = common.changed(tensors["weight_scale"], (7, 1), 255)
    for dtype in ("uint8", "float8_e8m0fnu"):
        found = Array(dtype, nan.bits)
        yield refusal(f"exponent-255-{dtype}", "non-finite-scales", compressed(), weight_scale=found)
    for leaf in tensors:
        yield Refusal(f"mxfp4-ct-no-{leaf}", compressed(), common.without(tensors, leaf), "missing-tensor")
    half = Array("uint8", np.resize(bytes_, (24, 4)))
    yield refusal("scales-of-16", "bad-shape", compressed(), weight_scale=half)
    yield refusal("group_size-16", "unsupported-group-size", compressed(group_size=16), weight_scale=half)
    yield refusal("of-channels", "unsupported-group-size", compressed(strategy="channel", group_size=None))
    yield refusal("of-8-bits", "unsupported-bits", compressed(num_bits=8))
    yield refusal("asymmetric", "unsupported-layout", compressed(symmetric=False))
    yield refusal("mxfp6", "unsupported-layout", compressed("mxfp6-pack-quantized"))
    halves = Array("float16", np.full((24, 2), 0x3C00, np.uint16))
    yield refusal("scales-float16", "bad-dtype", compressed(), weight_scale=halves)
    named = {"weight": tensors["weight_packed"], "weight_scale": tensors["weight_scale"]}
    wide = named | {"weight": Array("bfloat16", np.full((24, 64), 0x3F80, np.uint16))}
    yield Refusal("mxfp4-modelopt-dense", modelopt(), wide, "bad-dtype")
    yield Refusal("mxfp4-modelopt-group_size", modelopt() | {"group_size": 16}, named, "unsupported-group-size")
    smooth = named | {"pre_quant_scale": Array.of(np.ones(64, np.float32))}
    yield Refusal("mxfp4-modelopt-pre_quant_scale", modelopt(), smooth, "unexpected-tensor")


def _experts() -> Iterator[Refusal]:
    """DeepSeek V4's, one by one."""
    rng = np.random.default_rng(16)
    bytes_ = rng.integers(100, 140, (24, 2)).astype(np.uint8)
    tensors = halves(rng.integers(0, 16, (24, 64)), bytes_)

    def refusal(id: str, code: str, **changed: Array) -> Refusal:
        return Refusal(f"mxfp4-deepseek-{id}", dict(DEEPSEEK), tensors | changed, code)

    yield refusal("exponent-255", "non-finite-scales", scale=common.changed(tensors["scale"], (7, 1), 255))
    yield Refusal("mxfp4-deepseek-no-scale", dict(DEEPSEEK), common.without(tensors, "scale"), "missing-tensor")
    yield refusal("two-scales", "unexpected-tensor", weight_scale_inv=tensors["scale"])
    yield refusal("scales-of-16", "bad-shape", scale=Array("float8_e8m0fnu", np.resize(bytes_, (24, 4))))
    yield refusal("scales-of-blocks", "bad-shape", scale=Array("float8_e8m0fnu", bytes_[:1, :1]))
    yield refusal("scales-float32", "bad-dtype", scale=Array.of(np.ones((24, 2), np.float32)))
    yield refusal("without-axes", "bad-shape", scale=Array("float8_e8m0fnu", np.array(120, np.uint8)))
    yield Refusal("mxfp4-deepseek-fp6", DEEPSEEK | {"expert_dtype": "fp6"}, tensors, "unsupported-layout")
