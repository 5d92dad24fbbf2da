"""int8 modules of bitsandbytes with one thing wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from .. import refusals as common
from ..dialects import bitsandbytes as dialect
from ..module import Refusal
from .packing import pack


def refusals() -> Iterator[Refusal]:
    rng = np.random.default_rng(19)
    codes = rng.integers(-128, 128, (64, 96))
    scales = Array.of((rng.random(64) + 0.01).astype(np.float32))
    plain, tensors = dialect.config("int8"), pack(codes, codes, scales)

    def refusal(id: str, code: str, config: dict[str, Any] | None = None, **changed: Array) -> Refusal:
        return Refusal(f"bnb_int8-{id}", plain if config is None else config, tensors | changed, code)

    for label, pattern in (("nan", 0x7FC00000), ("infinity", 0x7F800000), ("minus-infinity", 0xFF800000)):
        yield refusal(f"scale-{label}", "non-finite-scales", SCB=common.changed(scales, (7,), pattern))
    for name in ("weight", "SCB"):
        yield Refusal(f"bnb_int8-no-{name}", plain, common.without(tensors, name), "missing-tensor")
    yield refusal("zero-points", "unexpected-tensor", weight_zero_point=scales)
    for label, count in (("short", 63), ("long", 65), ("of-inputs", 96)):
        yield refusal(f"scales-{label}", "bad-shape", SCB=Array("float32", np.resize(scales.bits, count)))
    yield refusal("scales-in-a-column", "bad-shape", SCB=Array("float32", scales.bits[:, None]))
    for dtype in ("float16", "int32"):
        yield refusal(f"scales-{dtype}", "unsupported-dtype", SCB=Array.of(np.ones(64, dtype)))
    weight = tensors["weight"].bits
    for label, shape in (("one-axis", (-1,)), ("three-axes", (2, 32, 96))):
        yield refusal(f"weight-{label}", "bad-shape", weight=Array("int8", weight.reshape(shape)))
    yield refusal("no-outputs", "bad-shape", weight=Array("int8", weight[:0]))
    yield refusal("weight-uint8", "bad-dtype", weight=Array.of(weight.view(np.uint8)))
    yield refusal("weight-float16", "bad-dtype", weight=Array.of(weight.astype(np.float16)))
    for number, name in enumerate(("col32", "col_turing", "col_ampere", "unheard-of"), 1):
        order = Array.of(np.array(number, np.uint8))
        yield refusal(f"weight_format-{name}", "unsupported-layout", weight_format=order)
    yield refusal("weight_format-of-two", "bad-shape", weight_format=Array.of(np.zeros(2, np.uint8)))
    yield refusal("weight_format-int32", "bad-dtype", weight_format=Array.of(np.array(0, np.int32)))
    for id, code, changes in (
        ("both-widths", "bad-config-value", {"load_in_4bit": True}),
        ("spellings-disagree", "config-contradiction", {"_load_in_8bit": False}),
        ("width-number", "bad-config-value", {"load_in_8bit": 1}),
    ):
        yield refusal(id, code, plain | changes)
