"""QQQ modules with one thing wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from .. import refusals as common
from ..draw import Draw
from ..module import Refusal
from .packing import SLUG, config, pack, parts

PLAIN = config(4, 32)


def refusals() -> Iterator[Refusal]:
    # [64, 128] in four groups of 32.
    draw = Draw(f"{SLUG}-refusals")
    codes, scales = draw.below(16, 64, 128), draw.scales("float32", "ordinary", 1, 64)
    grown = Array.of((draw.below(1 << 10, 4, 64) / 32).astype(np.float16))
    tensors = pack(codes, codes, scales, grown)
    weight = parts(PLAIN, tensors).dense(None)
    words = tensors["B"]

    def one(id: str, code: str, given: dict[str, Array], *readings: Array, **settings: Any) -> Refusal:
        return Refusal(f"{SLUG}-{id}", PLAIN | settings, tensors | given, code, readings)

    for bits in (2, 3, 5, 8):
        yield one(f"bits-{bits}", "unsupported-bits", {}, bits=bits)
    yield one("bits-text", "bad-config-value", {}, weight, bits="4")
    yield one("two-widths", "config-contradiction", {}, wbits=8)
    yield one("group-size-0", "bad-config-value", {}, group_size=0)
    yield one("group-size-text", "bad-config-value", {}, weight, group_size="32")
    yield one("group-size-contradicted", "bad-shape", {}, group_size=64)
    yield one("group-size-no-divisor", "bad-shape", {}, group_size=48)
    yield one("group-size-all", "bad-shape", {}, group_size=-1)
    yield one("desc_act", "unsupported-layout", {}, weight, desc_act=True)
    yield one("asymmetric", "unsupported-layout", {}, weight, sym=False)
    for label in ("gptq", "marlin", "never-heard-of"):
        yield one(f"labelled-{label}", "unsupported-layout", {}, weight, checkpoint_format=label)
    for missing in ("B", "s_channel", "s_group"):
        yield Refusal(f"{SLUG}-no-{missing}", PLAIN, common.without(tensors, missing), "missing-tensor")
    for label, pattern in (("nan", 0x7FC00000), ("infinity", 0x7F800000), ("minus-infinity", 0xFF800000)):
        broken = {"s_channel": common.changed(tensors["s_channel"], (0, 5), pattern)}
        yield one(f"scale-{label}", "non-finite-scales", broken)
    for label, pattern in (("nan", 0x7E00), ("infinity", 0x7C00), ("minus-infinity", 0xFC00), ("snan", 0xFD01)):
        broken = {"s_group": common.changed(tensors["s_group"], (2, 5), pattern)}
        yield one(f"group-scale-{label}", "non-finite-scales", broken)
    yield one("group-scales-a-row-short", "bad-shape", {"s_group": Array("float16", tensors["s_group"].bits[:-1])})
    short = Array("float16", np.ascontiguousarray(tensors["s_group"].bits[:, :-1]))
    yield one("group-scales-a-column-short", "bad-shape", {"s_group": short})
    yield one("group-scales-float32", "unsupported-dtype", {"s_group": Array.of(np.ones((4, 64), np.float32))})
    short = Array("float32", np.ascontiguousarray(tensors["s_channel"].bits[:, :-1]))
    yield one("scales-a-column-short", "bad-shape", {"s_channel": short})
    yield one("scales-one-axis", "bad-shape", {"s_channel": Array("float32", tensors["s_channel"].bits[0])})
    for dtype in ("float16", "int32"):
        yield one(f"scales-{dtype}", "unsupported-dtype", {"s_channel": Array.of(np.ones((1, 64), dtype))})
    yield one("words-float", "bad-dtype", {"B": Array.of(words.bits.astype(np.float32))})
    yield one("words-int16", "bad-dtype", {"B": Array.of(words.bits.view(np.int16))})
    for axes, shape in (("one-axis", (-1,)), ("three-axes", (2, -1, 128))):
        yield one(f"words-{axes}", "bad-shape", {"B": Array("int32", words.bits.reshape(shape))})
    narrow = {
        "B": Array("int32", np.ascontiguousarray(words.bits[:, :64])),
        "s_channel": Array("float32", np.ascontiguousarray(tensors["s_channel"].bits[:, :32])),
        "s_group": Array("float16", np.ascontiguousarray(tensors["s_group"].bits[:, :32])),
    }
    yield one("half-a-tile", "bad-shape", narrow)
    yield one("with-qzeros", "unexpected-tensor", {"qzeros": Array.of(np.zeros((4, 8), np.int32))}, weight)
    yield one("with-g_idx", "unexpected-tensor", {"g_idx": Array.of(np.arange(128, dtype=np.int32) // 32)}, weight)
