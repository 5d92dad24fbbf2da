"""AWQ gemv_fast modules with one thing wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from .. import refusals as common
from ..draw import Draw
from ..module import Refusal
from .packing import config, llm_awq, pack, parts

PLAIN = config(4, 32)


def refusals() -> Iterator[Refusal]:
    # [64, 128] in four groups of 32; room for 32 groups.
    draw = Draw("awq_gemv_fast-refusals")
    tensors = pack(draw.below(16, 64, 128), draw.below(16, 4, 64), draw.scales("float16", "ordinary", 4, 64))
    weight = parts(PLAIN, tensors).dense(None)
    qweight, scales, qzeros = (tensors[name] for name in ("qweight", "scales", "qzeros"))

    def one(id: str, code: str, given: dict[str, Any], *readings: Array, **settings: Any) -> Refusal:
        return Refusal(f"awq_gemv_fast-{id}", PLAIN | settings, tensors | given, code, readings)

    for bits in (1, 2, 3, 8, 16):
        yield one(f"bits-{bits}", "unsupported-bits", {}, bits=bits)
    yield one("bits-text", "bad-config-value", {}, weight, bits="4")
    yield one("group-size-0", "bad-config-value", {}, group_size=0)
    yield one("group-size-text", "bad-config-value", {}, weight, group_size="32")
    # No kernel and no packer says how such groups are padded.
    yield one("group-size-16", "unsupported-layout", {}, group_size=16)
    yield one("group-size-contradicted", "bad-shape", {}, group_size=64)
    yield one("two-group-sizes", "config-contradiction", {}, q_group_size=64)
    yield one("named-gemm", "bad-dtype", {}, version="gemm")
    yield one("named-gemv", "bad-dtype", {}, version="gemv")
    yield one("named-llm-awq", "missing-tensor", {}, weight, backend="llm-awq")
    renamed = common.without(tensors, "qzeros") | {"scaled_zeros": qzeros}
    yield Refusal("awq_gemv_fast-scaled_zeros", PLAIN, renamed, "missing-tensor", (weight,))
    yield one("both-names", "unexpected-tensor", {"scaled_zeros": qzeros}, weight)
    yield Refusal(
        "awq_gemv_fast-no-scaled_zeros", llm_awq(32), common.without(renamed, "scaled_zeros"), "missing-tensor"
    )
    for missing in ("qweight", "qzeros", "scales"):
        yield Refusal(f"awq_gemv_fast-no-{missing}", PLAIN, common.without(tensors, missing), "missing-tensor")
    for label, pattern in (("nan", 0x7E00), ("infinity", 0x7C00), ("minus-infinity", 0xFC00), ("snan", 0xFD01)):
        yield one(f"scale-{label}", "non-finite-scales", {"scales": common.changed(scales, (2, 5), pattern)})
        yield one(f"offset-{label}", "non-finite-scales", {"qzeros": common.changed(qzeros, (2, 5), pattern)})
    # Without their padding they would still be all there is, and some reader may take them so.
    for name, array in (("scales", scales), ("qzeros", qzeros)):
        yield one(f"{name}-without-padding", "bad-shape", {name: Array("float16", array.bits[:4])}, weight)
        yield one(f"{name}-a-column-short", "bad-shape", {name: Array("float16", array.bits[:, :-1])})
        turned = Array("float16", np.ascontiguousarray(array.bits.T))
        yield one(f"{name}-turned", "bad-shape", {name: turned})
    packed = Array.of(np.arange(64 * 4, dtype=np.int32).reshape(64, 4))
    yield one("qzeros-packed", "bad-dtype", {"qzeros": packed})
    yield one("qzeros-of-another-dtype", "bad-dtype", {"qzeros": Array.of(qzeros.float64().astype(np.float32))}, weight)
    yield one("qweight-float", "bad-dtype", {"qweight": Array("float16", qweight.bits.view(np.uint16))})
    yield one("qweight-int32", "bad-dtype", {"qweight": Array.of(qweight.bits.view(np.int32))}, weight)
    yield one("scales-integer", "unsupported-dtype", {"scales": Array.of(np.ones((32, 64), np.int32))})
    for axes, shape in (("one-axis", (-1,)), ("three-axes", (2, -1, 128))):
        yield one(f"qweight-{axes}", "bad-shape", {"qweight": Array("int16", qweight.bits.reshape(shape))})
    empty = {"qweight": Array("int16", qweight.bits[:0])}
    empty |= {name: Array("float16", tensors[name].bits[:, :0]) for name in ("scales", "qzeros")}
    yield one("no-outputs", "bad-shape", empty, Array("float16", np.zeros((0, 128), np.uint16)))
    # Three groups of 32 inputs, which are no whole number of blocks.
    yield one("half-a-block", "bad-shape", {"qweight": Array("int16", np.ascontiguousarray(qweight.bits[:, :96]))})
    g_idx = Array.of(np.arange(128, dtype=np.int32) // 32)
    yield one("with-g_idx", "unexpected-tensor", {"g_idx": g_idx})
