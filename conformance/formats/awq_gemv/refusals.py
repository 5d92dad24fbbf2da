"""AWQ gemv modules with one thing wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from .. import refusals as common
from ..module import Refusal
from .packing import config, parts

PLAIN = config(4, 32)


def refusals() -> Iterator[Refusal]:
    rng = np.random.default_rng(9)
    # [64, 128] in four groups of 32; room for 32 groups.
    scales = Array.of((rng.random((64, 32)) * 0.01).astype(np.float16))
    tensors = {"qweight": common.words(rng, 64, 16), "qzeros": common.words(rng, 64, 4), "scales": scales}
    weight = parts(PLAIN, tensors).dense(None)

    def one(id: str, code: str, given: dict[str, Any], *readings: Array, **settings: Any) -> Refusal:
        return Refusal(f"awq_gemv-{id}", PLAIN | settings, tensors | given, code, readings)

    for bits in (1, 2, 3, 8, 16):
        yield one(f"bits-{bits}", "unsupported-bits", {}, bits=bits)
    yield one("bits-text", "bad-config-value", {}, weight, bits="4")
    yield one("group-size-0", "bad-config-value", {}, group_size=0)
    yield one("group-size-text", "bad-config-value", {}, weight, group_size="32")
    # No kernel and no packer says how such groups are padded.
    yield one("group-size-16", "unsupported-layout", {}, group_size=16)
    yield one("group-size-contradicted", "bad-shape", {}, group_size=64)
    yield one("two-group-sizes", "config-contradiction", {}, q_group_size=64)
    yield one("named-gemm", "bad-shape", {}, version="gemm")
    yield one("named-gemv_fast", "bad-dtype", {}, version="gemv_fast")
    for missing in ("qweight", "qzeros", "scales"):
        less = common.without(tensors, missing)
        yield Refusal(f"awq_gemv-no-{missing}", PLAIN, less, "missing-tensor")
    for label, pattern in (("nan", 0x7E00), ("infinity", 0x7C00), ("minus-infinity", 0xFC00), ("snan", 0xFD01)):
        broken = common.changed(scales, (5, 2), pattern)
        yield one(f"scale-{label}", "non-finite-scales", {"scales": broken})
    # Without their padding they would still be all there is, and some reader may take them so.
    yield one("scales-without-padding", "bad-shape", {"scales": _cut(scales, 4)}, weight)
    yield one("qzeros-without-padding", "bad-shape", {"qzeros": _cut(tensors["qzeros"], 1)}, weight)
    yield one("scales-a-row-short", "bad-shape", {"scales": Array("float16", scales.bits[:-1])})
    turned = Array("float16", np.ascontiguousarray(scales.bits.T))
    yield one("scales-turned", "bad-shape", {"scales": turned})
    yield one("qzeros-a-row-short", "bad-shape", {"qzeros": Array("int32", tensors["qzeros"].bits[:-1])})
    yield one("qweight-float", "bad-dtype", {"qweight": Array.of(tensors["qweight"].bits.astype(np.float32))})
    yield one("scales-integer", "unsupported-dtype", {"scales": Array.of(np.ones((64, 32), np.int32))})
    for axes, shape in (("one-axis", (-1,)), ("three-axes", (2, -1, 16))):
        yield one(f"qweight-{axes}", "bad-shape", {"qweight": Array("int32", tensors["qweight"].bits.reshape(shape))})
    empty = {name: Array(array.dtype, array.bits[:0]) for name, array in tensors.items()}
    yield one("no-outputs", "bad-shape", empty, Array("float16", np.zeros((0, 128), np.uint16)))
    # Four groups of 32 inputs, and one of 8.
    longer = {"qweight": common.words(rng, 64, 17)}
    yield one("short-last-group", "bad-shape", longer)
    g_idx = Array.of(np.arange(128, dtype=np.int32) // 32)
    yield one("with-g_idx", "unexpected-tensor", {"g_idx": g_idx})


def _cut(array: Array, columns: int) -> Array:
    return Array(array.dtype, np.ascontiguousarray(array.bits[:, :columns]))
