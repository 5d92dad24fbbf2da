"""Modules of Gemma's integers with one thing wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from .. import refusals as common
from ..draw import Draw
from ..module import Refusal
from .packing import BITS, RULES, config, pack, parts


def refusals() -> Iterator[Refusal]:
    draw, plain = Draw("gemma_quant-refusals"), config(4)
    codes, scales = draw.below(16, 64, 96), draw.scales("float32", "ordinary", 1, 64)
    tensors = pack(codes, codes, scales)
    weight = parts(plain, tensors).dense(None)

    def refusal(id: str, code: str, config: dict[str, Any] | None = None, /, **changed: Array) -> Refusal:
        return Refusal(f"gemma_quant-{id}", plain if config is None else config, tensors | changed, code)

    for label, pattern in (("nan", 0x7FC00000), ("infinity", 0x7F800000), ("minus-infinity", 0xFF800000)):
        broken = common.changed(tensors["weight_scale"], (7, 0), pattern)
        yield refusal(f"scale-{label}", "non-finite-scales", weight_scale=broken)
    for name in ("weight", "weight_scale"):
        yield Refusal(f"gemma_quant-no-{name}", plain, common.without(tensors, name), "missing-tensor")
    yield refusal("zero-points", "unexpected-tensor", weight_zero_point=Array.of(np.zeros((64, 1), np.int8)))
    column = tensors["weight_scale"].bits
    for label, shape in (("short", (63, 1)), ("long", (65, 1)), ("of-groups", (64, 3))):
        yield refusal(f"scales-{label}", "bad-shape", weight_scale=Array("float32", np.resize(column, shape)))
    for label, folded in (("in-a-row", column.T), ("of-one-axis", column[:, 0])):
        own = {"weight_scale": Array("float32", np.ascontiguousarray(folded))}
        yield Refusal(f"gemma_quant-scales-{label}", plain, tensors | own, "bad-shape", (weight,))
    for dtype in ("float16", "int32"):
        yield refusal(f"scales-{dtype}", "unsupported-dtype", weight_scale=Array.of(np.ones((64, 1), dtype)))
    octets = tensors["weight"].bits
    for label, folded in (("one-axis", octets.reshape(-1)), ("three-axes", octets.reshape(2, 32, 48))):
        yield refusal(f"weight-{label}", "bad-shape", weight=Array("uint8", folded))
    yield refusal("no-outputs", "bad-shape", weight=Array("uint8", octets[:0]))
    yield refusal("weight-int8", "bad-dtype", weight=Array.of(octets.view(np.int8)))
    yield refusal("weight-int32", "bad-dtype", weight=Array.of(octets.astype(np.int32)))
    eight = pack(codes, codes, scales, bits=8)
    unsigned = eight | {"weight": Array.of(eight["weight"].bits.view(np.uint8))}
    yield Refusal("gemma_quant-8bit-unsigned", config(8), unsigned, "bad-dtype")
    for bits in (0, 1, 3, 16):
        # transformers takes all of these for 8 bits, and then its own tensors do not fit.
        yield refusal(f"bits-{bits}", "unsupported-bits", config(bits))
    for id, changes in (
        ("bits-text", {BITS: "4"}),
        ("bits-true", {BITS: True}),
        ("bits-null", {BITS: None}),
        ("rules-list", {RULES: ["mlp"]}),
        ("rule-number", {RULES: {"mlp": 8}}),
        ("rule-of-another-key", {RULES: {"mlp": {"bits": 8}}}),
        ("rule-text", {RULES: {"mlp": {BITS: "8"}}}),
        ("rule-no-pattern", {RULES: {"mlp(": {BITS: 8}}}),
    ):
        yield Refusal(f"gemma_quant-{id}", plain | changes, tensors, "bad-config-value", (weight,))
    ones = Array.of(np.ones(2, np.float32))
    own = tensors | {"input_activation_scale": ones}
    yield Refusal("gemma_quant-activation-scales", plain, own, "bad-shape", (weight,))
