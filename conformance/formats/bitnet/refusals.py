"""Modules of BitNet with one thing wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from .. import refusals as common
from ..draw import Draw
from ..module import Refusal
from .packing import CLASS, CODES, MODE, MULTIPLIED, NORM, SCALE, described, pack, parts


def refusals() -> Iterator[Refusal]:
    draw, plain, multiplied = Draw("bitnet-refusals"), described(), described(MULTIPLIED)
    codes, scales = draw.below(3, 64, 96), draw.scales("bfloat16", "ordinary", 1)
    tensors = pack(codes, codes, scales)
    weight, product = parts(plain, tensors).dense(None), parts(multiplied, tensors).dense(None)

    def refusal(id: str, code: str, config: dict[str, Any] | None = None, /, **changed: Array) -> Refusal:
        return Refusal(f"bitnet-{id}", plain if config is None else config, tensors | changed, code)

    for label, pattern in (("nan", 0x7FC0), ("infinity", 0x7F80), ("minus-infinity", 0xFF80)):
        for form, config in (("", plain), ("autobitlinear-", multiplied)):
            broken = common.changed(tensors[SCALE], (0,), pattern)
            yield refusal(f"{form}scale-{label}", "non-finite-scales", config, weight_scale=broken)
    for label, pattern in (("zero", 0), ("minus-zero", 0x8000)):
        broken = common.changed(tensors[SCALE], (0,), pattern)
        yield refusal(f"scale-{label}", "non-finite-scales", weight_scale=broken)
    for name in (CODES, SCALE):
        yield Refusal(f"bitnet-no-{name}", plain, common.without(tensors, name), "missing-tensor")
    yield refusal("zero-points", "unexpected-tensor", weight_zero_point=Array.of(np.zeros(1, np.int8)))
    for label, shape in (("none", (0,)), ("two", (2,)), ("of-outputs", (64,)), ("of-outputs-in-a-column", (64, 1))):
        many = Array("bfloat16", np.resize(scales.bits, shape).astype(np.uint16))
        yield refusal(f"scale-{label}", "bad-shape", weight_scale=many)
    yield refusal("scale-integer", "unsupported-dtype", weight_scale=Array.of(np.ones(1, np.int32)))
    octets = tensors[CODES].bits
    for label, folded in (("one-axis", octets.reshape(-1)), ("three-axes", octets.reshape(2, 8, 96))):
        yield refusal(f"weight-{label}", "bad-shape", weight=Array.of(folded))
    yield refusal("no-outputs", "bad-shape", weight=Array.of(octets[:0]))
    yield refusal("weight-int8", "bad-dtype", weight=Array.of(octets.view(np.int8)))
    yield refusal("weight-int32", "bad-dtype", weight=Array.of(octets.astype(np.int32)))
    # transformers loads these for AutoBitLinear as they are.
    whole = Array.of((codes - 1).astype(np.float16))
    yield Refusal("bitnet-unpacked", multiplied, tensors | {CODES: whole}, "bad-dtype", (product,))
    for id, config, code in (
        ("online", multiplied | {MODE: "online"}, "unsupported-layout"),
        ("rms-norm", plain | {NORM: True}, "unsupported-layout"),
        ("rms-norm-autobitlinear", multiplied | {NORM: True}, "unsupported-layout"),
        ("class-unknown", plain | {CLASS: "bitblas"}, "bad-config-value"),
        ("class-list", plain | {CLASS: ["bitlinear"]}, "bad-config-value"),
        ("mode-unknown", plain | {MODE: "dynamic"}, "bad-config-value"),
        ("mode-true", plain | {MODE: True}, "bad-config-value"),
        ("rms-norm-text", plain | {NORM: "false"}, "bad-config-value"),
    ):
        readings = (product,) if config[CLASS] == MULTIPLIED else (weight,)
        yield Refusal(f"bitnet-{id}", config, tensors, code, readings)
