"""Marlin modules with one thing wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from .. import refusals as common
from ..draw import Draw
from ..module import Refusal
from .packing import AWQ, ZERO, awq, config, pack, parts

PLAIN = config(4, 32)


def refusals() -> Iterator[Refusal]:
    # [64, 128] in four groups of 32.
    draw = Draw("gptq_marlin-refusals")
    numbers = draw.below(16, 64, 128), np.full((4, 64), ZERO), draw.scales("float16", "ordinary", 4, 64)
    tensors = pack(*numbers)
    weight = parts(PLAIN, tensors).dense(None)
    words, scales = tensors["B"], tensors["s"]

    def one(id: str, code: str, given: dict[str, Any], *readings: Array, **settings: Any) -> Refusal:
        return Refusal(f"gptq_marlin-{id}", PLAIN | settings, tensors | given, code, readings)

    for bits in (2, 3, 5, 8):
        yield one(f"bits-{bits}", "unsupported-bits", {}, bits=bits)
    yield one("bits-text", "bad-config-value", {}, weight, bits="4")
    yield one("group-size-0", "bad-config-value", {}, group_size=0)
    yield one("group-size-text", "bad-config-value", {}, weight, group_size="32")
    yield one("group-size-contradicted", "bad-shape", {}, group_size=64)
    yield one("group-size-no-divisor", "bad-shape", {}, group_size=48)
    yield one("two-group-sizes", "config-contradiction", {}, q_group_size=64)
    # What no kernel has; the tensors would be read all the same.
    yield one("desc_act", "unsupported-layout", {}, weight, desc_act=True)
    yield one("asymmetric", "unsupported-layout", {}, weight, sym=False)
    yield Refusal("gptq_marlin-unlabelled", PLAIN | {"is_marlin_format": False}, tensors, "missing-tensor", (weight,))
    for missing in ("B", "s"):
        yield Refusal(f"gptq_marlin-no-{missing}", PLAIN, common.without(tensors, missing), "missing-tensor")
    for label, pattern in (("nan", 0x7E00), ("infinity", 0x7C00), ("minus-infinity", 0xFC00), ("snan", 0xFD01)):
        yield one(f"scale-{label}", "non-finite-scales", {"s": common.changed(scales, (2, 5), pattern)})
    yield one("scales-a-row-short", "bad-shape", {"s": Array("float16", scales.bits[:-1])})
    yield one("scales-a-column-short", "bad-shape", {"s": Array("float16", scales.bits[:, :-1])})
    yield one("scales-integer", "unsupported-dtype", {"s": Array.of(np.ones((4, 64), np.int32))})
    yield one("scales-one-axis", "bad-shape", {"s": Array("float16", scales.bits[0])})
    yield one("words-float", "bad-dtype", {"B": Array.of(words.bits.astype(np.float32))})
    yield one("words-int16", "bad-dtype", {"B": Array.of(words.bits.view(np.int16))})
    for axes, shape in (("one-axis", (-1,)), ("three-axes", (2, -1, 128))):
        yield one(f"words-{axes}", "bad-shape", {"B": Array("int32", words.bits.reshape(shape))})
    narrow = {"B": Array("int32", words.bits[:, :64]), "s": Array("float16", scales.bits[:, :32])}
    yield one("half-a-tile", "bad-shape", narrow)
    empty = {"B": Array("int32", words.bits[:, :0]), "s": Array("float16", scales.bits[:, :0])}
    yield one("no-outputs", "bad-shape", empty, Array("float16", np.zeros((0, 128), np.uint16)))
    yield one("with-qzeros", "unexpected-tensor", {"qzeros": Array.of(np.zeros((4, 8), np.int32))}, weight)
    yield one("with-g_idx", "unexpected-tensor", {"g_idx": Array.of(np.arange(128, dtype=np.int32) // 32)}, weight)
    named = pack(*numbers, named=AWQ)
    yield Refusal("gptq_marlin-awq-named-gptq", PLAIN, named, "unsupported-layout", (weight,))
    yield Refusal("gptq_marlin-gptq-named-awq", awq(32), tensors, "missing-tensor", (weight,))
    zeros = {"qzeros": Array.of(np.full((4, 8), 0x88888888 - (1 << 32), np.int32))}
    yield Refusal("gptq_marlin-awq-with-qzeros", awq(32), named | zeros, "unsupported-layout", (weight,))
    asymmetric = awq(32) | {"zero_point": True}
    yield Refusal("gptq_marlin-awq-asymmetric", asymmetric, named, "unsupported-layout", (weight,))
    yield Refusal("gptq_marlin-awq-named-gemm", awq(32) | {"version": "gemm"}, named, "missing-tensor")
