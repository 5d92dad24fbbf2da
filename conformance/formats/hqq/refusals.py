"""HQQ modules with one thing wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from .. import refusals as common
from ..draw import Draw
from ..module import Refusal
from .packing import METHOD, PARAMS, config, flag, number, pack_floats, parts, settings, text


def refusals() -> Iterator[Refusal]:
    draw, plain = Draw("hqq-refusals"), config(4, 32)
    scales, zeros = draw.scales("float16", "ordinary", 256), draw.scales("float16", "ordinary", 256)
    codes = draw.below(16, 64, 128)
    tensors = pack_floats(codes, zeros, scales, group=32)
    weight = parts(plain, tensors).dense(None)

    def one(id: str, code: str, config: dict[str, Any] | None = None, /, **changed: Array) -> Refusal:
        return Refusal(f"hqq-{id}", plain if config is None else config, tensors | changed, code)

    def lenient(id: str, code: str, **changed: Array) -> Refusal:
        """What a reader may not look at."""
        return Refusal(f"hqq-{id}", plain, tensors | changed, code, (weight,))

    for bits in (0, 7, 9, 16, 2.5):
        yield one(f"bits-{bits}", "unsupported-bits", config(bits, 32))
    for id, changes in (
        ("bits-text", {"nbits": "4"}),
        ("bits-true", {"nbits": True}),
        ("axis-2", {"axis": 2}),
        ("axis-text", {"axis": "1"}),
        ("group-size-0", {"group_size": 0}),
        ("group-size-text", {"group_size": "32"}),
    ):
        own = settings(4, 32)
        said = plain | {"quant_config": own | {PARAMS: own[PARAMS] | changes}}
        yield Refusal(f"hqq-{id}", said, tensors, "bad-config-value", (weight,))
    for id, value in (("list", []), ("empty", {}), ("number", 4), ("tags-of-nothing", {"mlp.up_proj": None})):
        yield Refusal(f"hqq-quant_config-{id}", plain | {"quant_config": value}, tensors, "bad-config-value", (weight,))
    yield Refusal("hqq-no-quant_config", {"quant_method": METHOD}, tensors, "bad-config-value", (weight,))
    for name in ("W_q", "scale", "zero", "shape", "nbits", "group_size", "axis", "packing"):
        # Of a loader that goes by the configuration.
        readings = () if name in ("W_q", "scale", "zero") else (weight,)
        yield Refusal(f"hqq-no-{name}", plain, common.without(tensors, name), "missing-tensor", readings)
    for label, pattern in (("nan", 0x7E00), ("infinity", 0x7C00), ("minus-infinity", 0xFC00), ("snan", 0xFD01)):
        for name in ("scale", "zero"):
            yield one(f"{name}-{label}", "non-finite-scales", **{name: common.changed(tensors[name], (5, 0), pattern)})
    for name in ("scale", "zero"):
        array = tensors[name]
        yield one(f"{name}-short", "bad-shape", **{name: Array("float16", array.bits[:-1])})
        yield lenient(f"{name}-in-a-row", "bad-shape", **{name: Array("float16", array.bits.reshape(1, -1))})
        yield lenient(f"{name}-of-one-axis", "bad-shape", **{name: Array("float16", array.bits.reshape(-1))})
    yield one("scale-integer", "unsupported-dtype", scale=Array.of(np.ones((256, 1), np.int32)))
    yield lenient("zero-of-another-dtype", "bad-dtype", zero=Array.of(tensors["zero"].float64().astype(np.float32)))
    words = tensors["W_q"].bits
    yield one("W_q-int32", "bad-dtype", W_q=Array.of(words.astype(np.int32)))
    yield one("W_q-float16", "bad-dtype", W_q=Array.of(words.astype(np.float16)))
    yield one("W_q-a-row-short", "bad-shape", W_q=Array.of(words[:-1]))
    yield one("W_q-a-column-short", "bad-shape", W_q=Array.of(np.ascontiguousarray(words[:, :-1])))
    yield lenient("W_q-of-one-axis", "bad-shape", W_q=Array.of(words.reshape(-1)))
    yield one("W_q-empty", "bad-shape", W_q=Array.of(words[:0]))
    # What tensors say: of other shapes, of themselves, and of nothing.
    yield one("shape-of-another", "bad-shape", shape=Array.of(np.array([64, 64], np.int64)))
    yield one("shape-huge", "bad-shape", shape=Array.of(np.array([2**30, 2**30], np.int64)))
    yield one("shape-negative", "bad-config-value", shape=Array.of(np.array([-64, -128], np.int64)))
    yield one("shape-zero", "bad-config-value", shape=Array.of(np.array([0, 128], np.int64)))
    yield lenient("shape-of-three", "unsupported-layout", shape=Array.of(np.array([64, 128, 1], np.int64)))
    yield one("shape-of-none", "unsupported-layout", shape=Array.of(np.zeros(0, np.int64)))
    yield one("shape-float", "bad-dtype", shape=Array.of(np.array([64, 128], np.float32)))
    yield one("shape-endless", "bad-config-value", shape=Array.of(np.ones(1 << 12, np.int64)))
    yield one("group_size-zero", "bad-config-value", group_size=number(0))
    yield one("group_size-negative", "bad-config-value", group_size=number(-32))
    yield one("group_size-of-another", "bad-shape", group_size=number(64))
    yield one("group_size-no-divisor", "bad-shape", group_size=number(33))
    yield one("group_size-of-two", "bad-config-value", group_size=Array.of(np.array([32, 32], np.int32)))
    yield one("tensors-axis-2", "bad-config-value", axis=number(2))
    yield one("tensors-axis-0", "bad-shape", axis=number(0))
    yield one("axis-float", "bad-dtype", axis=Array.of(np.array(1, np.float32)))
    yield lenient("nbits-of-another", "config-contradiction", nbits=number(8))
    yield lenient("nbits-3", "config-contradiction", nbits=number(3))
    yield one("nbits-of-none", "config-contradiction", nbits=Array.of(np.zeros(0, np.int32)))
    yield one("packing-2bit", "config-contradiction", packing=text("2bit_u8"))
    yield one("packing-unheard-of", "unsupported-layout", packing=text("4bit_32"))
    yield one("packing-of-no-letters", "unsupported-layout", packing=Array.of(np.full(7, 255, np.uint8)))
    yield one("packing-int32", "bad-dtype", packing=number(4))
    yield lenient("compute_dtype-of-another", "config-contradiction", compute_dtype=text("torch.bfloat16"))
    yield lenient("compute_dtype-code", "config-contradiction", compute_dtype=text("__import__('os').abort()"))
    yield lenient("unpack_view_dtype-of-another", "config-contradiction", unpack_view_dtype=text("torch.int32"))
    yield one("viewed-as-float", "bad-dtype", view_as_float=flag(True))
    for name in ("quant_zero", "quant_scale"):
        yield lenient(f"{name}-true", "unsupported-layout", **{name: flag(True)})
    yield lenient("channel_wise-false", "unsupported-layout", channel_wise=flag(False))
    for name in ("zero_q", "scale_q", "zero_scale"):
        yield lenient(f"with-{name}", "unsupported-layout", **{name: Array.of(np.zeros((256, 1), np.uint8))})
    yield lenient("with-g_idx", "unexpected-tensor", g_idx=Array.of(np.arange(128, dtype=np.int32) // 32))
    # Words of 3 rows in 2: what hqq itself packs without a word of warning, and cannot read.
    odd = pack_floats(codes[:2], Array("float16", zeros.bits[:8]), Array("float16", scales.bits[:8]), group=32)
    shape = Array.of(np.array([1, 224], np.int64))
    cut = {name: Array("float16", odd[name].bits[:7]) for name in ("scale", "zero")}
    yield Refusal("hqq-rows-of-half-a-word", plain, odd | cut | {"shape": shape}, "bad-shape")
