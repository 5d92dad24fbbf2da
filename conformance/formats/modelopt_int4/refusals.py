"""Modules of ModelOpt's INT4 with one thing wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from .. import refusals as common
from ..module import Refusal
from .packing import modelopt, pack


def refusals() -> Iterator[Refusal]:
    rng = np.random.default_rng(23)
    codes = rng.integers(0, 16, (64, 128))
    scales = Array.of((rng.random((4, 64)) * 0.01 + 0.001).astype(np.float32))
    inputs = Array.of((rng.random(128) + 0.5).astype(np.float16))
    plain, tensors = modelopt(32), pack(codes, codes, scales, inputs=inputs)

    def refusal(id: str, code: str, config: dict[str, Any] | None = None, **changed: Array) -> Refusal:
        return Refusal(f"modelopt_int4-{id}", plain if config is None else config, tensors | changed, code)

    for name in ("weight", "weight_scale"):
        yield Refusal(f"modelopt_int4-no-{name}", plain, common.without(tensors, name), "missing-tensor")
    weight, scale = tensors["weight"], tensors["weight_scale"]
    for label, pattern in (("nan", 0x7FC00000), ("infinity", 0x7F800000), ("minus-infinity", 0xFF800000)):
        yield refusal(f"scale-{label}", "non-finite-scales", weight_scale=common.changed(scale, (5, 2), pattern))
    for label, pattern in (("nan", 0x7E00), ("infinity", 0x7C00)):
        yield refusal(f"input-{label}", "non-finite-scales", pre_quant_scale=common.changed(inputs, (7,), pattern))
    yield refusal("group-size-contradicted", "bad-shape", modelopt(64))
    yield refusal("group-size-of-none", "bad-shape", modelopt(48))
    for size in (0, -1, "32", True, 32.0):
        yield refusal(f"group-size-{size}", "bad-config-value", plain | {"group_size": size})
    three = Array("float32", np.ascontiguousarray(scale.bits[:, :3]))
    yield refusal("three-groups", "bad-shape", modelopt(), weight_scale=three)
    yield refusal("scales-turned", "bad-shape", weight_scale=Array("float32", scale.bits.T.copy()))
    yield refusal("an-output-short", "bad-shape", weight_scale=Array("float32", scale.bits[:-1]))
    yield refusal("pairs-along-inputs", "bad-shape", weight=Array("uint8", weight.bits.reshape(64, 64)))
    for label, shape in (("one-axis", (-1,)), ("three-axes", (2, 16, 128))):
        yield refusal(f"weight-{label}", "bad-shape", weight=Array("uint8", weight.bits.reshape(shape)))
    yield refusal("no-outputs", "bad-shape", weight=Array("uint8", weight.bits[:0]),
                  weight_scale=Array("float32", scale.bits[:0]))  # fmt: skip
    yield refusal("weight-int8", "bad-dtype", weight=Array("int8", weight.bits.view(np.int8)))
    for dtype in ("float16", "int32"):
        yield refusal(f"scales-{dtype}", "unsupported-dtype", weight_scale=Array.of(np.ones((64, 4), dtype)))
    yield refusal("inputs-int32", "unsupported-dtype", pre_quant_scale=Array.of(np.ones(128, np.int32)))
    for label, count in (("short", 127), ("of-outputs", 64)):
        yield refusal(f"inputs-{label}", "bad-shape", pre_quant_scale=Array.of(np.ones(count, np.float16)))
    yield refusal("inputs-in-a-row", "bad-shape", pre_quant_scale=Array("float16", inputs.bits[None]))
    yield refusal("zero-points", "unexpected-tensor", weight_zero_point=scale)
    whole = Array.of(np.array([0.01], np.float32))
    yield refusal("scale-of-the-matrix", "unexpected-tensor", weight_scale_2=whole)
