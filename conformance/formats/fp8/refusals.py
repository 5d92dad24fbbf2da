"""FP8 modules with one thing wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from .. import refusals as common
from ..dialects import deepseek
from ..module import Refusal
from .grid import LEGAL
from .packing import blocks, compressed, fbgemm, modelopt

PLAIN = blocks((32, 32))


def refusals() -> Iterator[Refusal]:
    rng = np.random.default_rng(13)
    weight = Array("float8_e4m3fn", LEGAL[rng.integers(0, len(LEGAL), (64, 96))].astype(np.uint8))
    scales = Array.of((rng.random((2, 3)) * 0.01 + 0.001).astype(np.float32))
    tensors = {"weight": weight, "weight_scale_inv": scales}

    def refusal(id: str, code: str, config: dict[str, Any] | None = None, **changed: Array) -> Refusal:
        return Refusal(f"fp8-{id}", PLAIN if config is None else config, tensors | changed, code)

    for label, pattern in (("nan", 0x7FC00000), ("infinity", 0x7F800000), ("minus-infinity", 0xFF800000)):
        broken = common.changed(scales, (1, 2), pattern)
        yield refusal(f"scale-{label}", "non-finite-scales", weight_scale_inv=broken)
    for dtype in ("float8_e8m0fnu", "uint8"):
        bytes_ = np.full((2, 3), 127, np.uint8)
        bytes_[0, 1] = 255
        yield refusal(f"exponent-255-{dtype}", "non-finite-scales", weight_scale_inv=Array(dtype, bytes_))
    for dtype, pattern in (("float16", 0x7C00), ("bfloat16", 0x7F80)):
        halves = np.full((2, 3), 0x3C00 if dtype == "float16" else 0x3F80, np.uint16)
        halves[1, 0] = pattern
        yield refusal(f"infinity-{dtype}", "non-finite-scales", weight_scale_inv=Array(dtype, halves))
    for missing, code in (("weight", "missing-tensor"), ("weight_scale_inv", "missing-tensor")):
        yield Refusal(f"fp8-no-{missing}", PLAIN, common.without(tensors, missing), code)
    yield refusal("two-scales", "unexpected-tensor", weight_scale=scales)
    yield refusal("zero-points", "unexpected-tensor", weight_zero_point=scales)
    for label, shape in (("row-short", (1, 3)), ("column-short", (2, 2)), ("turned", (3, 2)), ("one-axis", (6,))):
        cut = Array("float32", np.resize(scales.bits, shape))
        yield refusal(f"scales-{label}", "bad-shape", weight_scale_inv=cut)
    yield refusal("scales-of-other-blocks", "bad-shape", blocks((16, 32)))
    yield refusal("scales-of-one-block", "bad-shape", blocks((128, 128)))
    yield refusal("scales-for-half-the-outputs", "bad-shape", blocks(None), weight_scale_inv=scales)
    integers = Array.of(np.ones((2, 3), np.int32))
    yield refusal("scales-integer", "unsupported-dtype", weight_scale_inv=integers)
    yield refusal("weight-float16", "bad-dtype", weight=Array("float16", np.full((64, 96), 0x3C00, np.uint16)))
    yield refusal("weight-int32", "bad-dtype", weight=Array.of(np.ones((64, 96), np.int32)))
    for axes, folds in (("one-axis", (-1,)), ("three-axes", (2, 32, 96))):
        folded = Array(weight.dtype, weight.bits.reshape(folds))
        yield refusal(f"weight-{axes}", "bad-shape", weight=folded)
    yield refusal("no-outputs", "bad-shape", weight=Array(weight.dtype, weight.bits[:0]))
    for label, value in (
        ("zero", [0, 32]),
        ("one", [32]),
        ("text", "32x32"),
        ("negative", [-1, 32]),
        ("float", [32.0, 32]),
    ):
        yield refusal(f"block-{label}", "bad-config-value", PLAIN | {"weight_block_size": value})
    yield refusal("fmt-e5m2", "unsupported-dtype", PLAIN | {"fmt": "e5m2"})
    yield refusal("scale_fmt-unheard-of", "unsupported-layout", PLAIN | {"scale_fmt": "ue5m3"})
    named = {"weight": weight, "weight_scale": scales}
    for algorithm in ("W4A8_AWQ", "INT4_AWQ", "NVFP4_SVD", "NEVER_HEARD_OF"):
        yield Refusal(f"fp8-modelopt-{algorithm.lower()}", modelopt(algorithm), named, "unsupported-layout")
    yield Refusal("fp8-modelopt-grid", modelopt("FP8"), named, "bad-shape")
    outputs = {"weight": weight, "weight_scale": Array.of((rng.random((64, 1)) + 0.5).astype(np.float32))}
    for id, code, config in (
        ("token", "unsupported-layout", compressed("float-quantized", "token")),
        ("no-block_structure", "bad-config-value", compressed("float-quantized", "block")),
        ("block-zero", "bad-config-value", compressed("float-quantized", "block", block_structure=[0, 32])),
        ("group-of-no-size", "bad-config-value", compressed("float-quantized", "group")),
        ("of-4-bits", "unsupported-bits", compressed("float-quantized", "channel", num_bits=4)),
        ("asymmetric", "unsupported-layout", compressed("float-quantized", "channel", symmetric=False)),
        ("one-for-the-outputs", "bad-shape", compressed("float-quantized", "block", block_structure=[32, 32])),
    ):
        yield Refusal(f"fp8-ct-{id}", config, outputs, code)
    yield from _fbgemm(outputs)
    yield from _deepseek(weight)


def _deepseek(weight: Array) -> Iterator[Refusal]:
    config, small = deepseek.config((32, 32)), "float8_e8m0fnu"
    bytes_ = np.full((2, 3), 120, np.uint8)
    scale = Array(small, bytes_)

    def refusal(id: str, code: str, **changed: Array) -> Refusal:
        return Refusal(f"fp8-deepseek-{id}", config, {"weight": weight, "scale": scale} | changed, code)

    yield refusal("exponent-255", "non-finite-scales", scale=common.changed(scale, (1, 2), 255))
    yield refusal("two-scales", "unexpected-tensor", weight_scale_inv=scale)
    for label, shape in (("row-short", (1, 3)), ("turned", (3, 2)), ("of-outputs", (64, 1)), ("of-columns", (2, 96))):
        yield refusal(f"scales-{label}", "bad-shape", scale=Array(small, np.resize(bytes_, shape)))
    rows = {"weight": weight, "weight_scale_inv": Array(small, np.resize(bytes_, (64, 3)))}
    yield Refusal("fp8-deepseek-rows-under-the-other-name", config, rows, "bad-shape")
    unheard = config | {"expert_dtype": "fp6"}
    yield Refusal("fp8-deepseek-fp6", unheard, {"weight": weight, "scale": scale}, "unsupported-layout")


def _fbgemm(tensors: dict[str, Array]) -> Iterator[Refusal]:
    scale = tensors["weight_scale"]

    def refusal(id: str, code: str, weight_scale: Array) -> Refusal:
        return Refusal(f"fp8-fbgemm-{id}", fbgemm(), tensors | {"weight_scale": weight_scale}, code)

    yield Refusal("fp8-fbgemm-no-weight_scale", fbgemm(), common.without(tensors, "weight_scale"), "missing-tensor")
    for label, pattern in (("nan", 0x7FC00000), ("infinity", 0x7F800000)):
        yield refusal(f"scale-{label}", "non-finite-scales", common.changed(scale, (3, 0), pattern))
    yield refusal("one-scale", "bad-shape", Array("float32", scale.bits[:1]))
    yield refusal("an-output-short", "bad-shape", Array("float32", scale.bits[:-1]))
    yield refusal("scales-in-a-row", "bad-shape", Array("float32", scale.bits.T.copy()))
    yield refusal("scales-of-blocks", "bad-shape", Array("float32", np.resize(scale.bits, (64, 3))))
    for dtype in ("float8_e8m0fnu", "uint8"):
        yield refusal(f"exponents-{dtype}", "unsupported-dtype", Array(dtype, np.full((64, 1), 120, np.uint8)))
