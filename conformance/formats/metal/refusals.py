"""Metal modules with one thing wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from .. import refusals as common
from ..draw import Draw
from ..module import Refusal
from .packing import config, pack, parts

PLAIN = config(4, 32)


def refusals() -> Iterator[Refusal]:
    draw = Draw("metal-refusals")
    tensors = pack(draw.below(16, 64, 128), draw.below(16, 4, 64), draw.scales("float16", "ordinary", 4, 64))
    weight = parts(PLAIN, tensors).dense(None)
    words, scales, biases = (tensors[name] for name in ("weight", "scales", "qbiases"))

    def one(id: str, code: str, given: dict[str, Array], *readings: Array, **settings: Any) -> Refusal:
        return Refusal(f"metal-{id}", PLAIN | settings, tensors | given, code, readings)

    for bits in (0, 1, 3, 5, 6, 7, 16, 2**70):
        yield one(f"bits-{bits}", "unsupported-bits", {}, bits=bits)
    yield one("bits-text", "bad-config-value", {}, weight, bits="4")
    yield one("bits-8", "bad-shape", {}, bits=8)
    for id, size in (("0", 0), ("minus-1", -1), ("negative", -32)):
        yield one(f"group-size-{id}", "bad-config-value", {}, group_size=size)
    yield one("group-size-text", "bad-config-value", {}, weight, group_size="32")
    yield one("group-size-contradicted", "bad-shape", {}, group_size=64)
    yield one("group-size-no-divisor", "bad-shape", {}, group_size=33)
    yield one("two-group-sizes", "config-contradiction", {}, q_group_size=64)
    for missing in tensors:
        yield Refusal(f"metal-no-{missing}", PLAIN, common.without(tensors, missing), "missing-tensor")
    for label, pattern in (("nan", 0x7E00), ("infinity", 0x7C00), ("minus-infinity", 0xFC00), ("snan", 0xFD01)):
        for name in ("scales", "qbiases"):
            broken = common.changed(tensors[name], (5, 2), pattern)
            yield one(f"{name}-{label}", "non-finite-scales", {name: broken})
    for name, array in (("scales", scales), ("qbiases", biases)):
        yield one(f"{name}-a-row-short", "bad-shape", {name: Array("float16", array.bits[:-1])})
        yield one(f"{name}-turned", "bad-shape", {name: Array("float16", np.ascontiguousarray(array.bits.T))}, weight)
    yield one("scales-integer", "unsupported-dtype", {"scales": Array.of(np.ones((64, 4), np.int32))})
    wide = Array.of(biases.float64().astype(np.float32))
    yield one("qbiases-of-another-dtype", "bad-dtype", {"qbiases": wide}, weight)
    yield one("weight-bytes", "bad-dtype", {"weight": Array.of(words.bits.view(np.uint8))}, weight)
    yield one("weight-float", "bad-dtype", {"weight": Array("float32", words.bits)})
    for axes, shape in (("one-axis", (-1,)), ("three-axes", (2, -1, 16))):
        yield one(f"weight-{axes}", "bad-shape", {"weight": Array.of(words.bits.reshape(shape))})
    empty = {name: Array(array.dtype, array.bits[:0]) for name, array in tensors.items()}
    yield one("no-outputs", "bad-shape", empty, Array("float16", np.zeros((0, 128), np.uint16)))
    yield one("with-g_idx", "unexpected-tensor", {"g_idx": Array.of(np.arange(128, dtype=np.int32) // 32)})
    yield one("with-biases", "unexpected-tensor", {"biases": biases}, weight)
