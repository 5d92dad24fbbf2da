"""Modules of Quark's integers with one thing wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ..dialects import quark as dialect
from ..module import Refusal
from ..refusals import changed, without
from .packing import config, packed


def refusals() -> Iterator[Refusal]:
    rng = np.random.default_rng(14)
    plain = config(4, 32)
    scales = Array.of((rng.random((4, 64)) * 0.01).astype(np.float16))
    tensors = packed(plain, rng.integers(0, 16, (64, 128)), rng.integers(0, 16, (4, 64)), scales)

    def refused(id: str, code: str, own: dict[str, Any] | None = None, **others: Array) -> Refusal:
        return Refusal(f"quark_int-{id}", plain if own is None else own, tensors | others, code)

    def typed(**changes: Any) -> dict[str, Any]:
        return dialect.config(dialect.weight("uint4", "group", 32) | changes)

    for missing in ("weight", "weight_scale", "weight_zero_point"):
        yield Refusal(f"quark_int-no-{missing}", plain, without(tensors, missing), "missing-tensor")
    for dtype in ("int3", "int16", "bfloat16"):
        yield refused(f"dtype-{dtype}", "unsupported-layout", typed(dtype=dtype))
    yield refused("qscheme-per_block", "unsupported-layout", typed(qscheme="per_block"))
    yield refused("ch_axis-of-outputs", "unsupported-layout", typed(ch_axis=0))
    yield refused("float-zero-points", "unsupported-layout", typed(zero_point_type="float32"))
    yield refused("pack_method-other", "unsupported-layout", plain | {"export": {"pack_method": "tiled"}})
    stages = [dialect.weight("fp8_e4m3", "tensor"), dialect.weight("int4", "group", 32)]
    yield refused("two-stages", "unsupported-layout", dialect.config(stages))
    yield refused("group-size-text", "bad-config-value", typed(group_size="32"))
    yield refused("group-size-0", "bad-config-value", typed(group_size=0))
    yield refused("group-size-absent", "bad-config-value", typed(group_size=None))
    yield refused("weight-no-object", "bad-config-value", dialect.config("uint4"))
    yield refused("group-size-contradicted", "bad-shape", config(4, 64))
    yield refused("channels-contradicted", "bad-shape", config(4, -1))
    for label, pattern in (("nan", 0x7E00), ("infinity", 0x7C00)):
        yield refused(
            f"scale-{label}", "non-finite-scales", weight_scale=changed(tensors["weight_scale"], (2, 5), pattern)
        )
    for name in ("weight_scale", "weight_zero_point"):
        turned = Array(tensors[name].dtype, tensors[name].bits.T.copy())
        yield Refusal(f"quark_int-{name}-turned", plain, tensors | {name: turned}, "bad-shape")
    floats = Array.of(tensors["weight"].bits.astype(np.float32))
    yield refused("codes-float", "bad-dtype", weight=floats)
    yield refused("scales-integer", "unsupported-dtype", weight_scale=Array.of(np.ones((4, 64), np.int32)))
    yield refused("with-g_idx", "unexpected-tensor", g_idx=Array.of(np.arange(128, dtype=np.int32) // 32))
    yield from _eights(rng)
    yield from _lone()
    yield from _twos()


def _eights(rng: np.random.Generator) -> Iterator[Refusal]:
    row = Array.of(np.ones((1, 64), np.float16))
    unsigned = dialect.config(dialect.weight("uint8", "channel"))
    bytes_ = packed(unsigned, rng.integers(0, 256, (64, 96)), np.full((1, 64), 128), row)
    signed = dialect.config(dialect.weight("int8", "channel"))
    yield Refusal("quark_int-bytes-of-the-other-sign", signed, bytes_, "bad-dtype")


def _twos() -> Iterator[Refusal]:
    """Of numbers of two bits: four a byte without a sign, with one a word each, which has room for others."""
    rng = np.random.default_rng(15)
    scales = Array.of(np.ones((2, 24), np.float16))
    for dtype in ("uint2", "int2"):
        config = dialect.config(dialect.weight(dtype, "group", 32))
        tensors = packed(config, rng.integers(0, 4, (24, 64)), rng.integers(0, 4, (2, 24)), scales)
        other = Array.of(tensors["weight"].bits.astype({"uint2": np.int32, "int2": np.int8}[dtype]))
        yield Refusal(f"quark_int-{dtype}-of-another-dtype", config, tensors | {"weight": other}, "bad-dtype")
        short = Array.of(tensors["weight_zero_point"].bits[:, :-1].copy())
        yield Refusal(
            f"quark_int-{dtype}-zero-points-short", config, tensors | {"weight_zero_point": short}, "bad-shape"
        )
        if dtype == "int2":
            for name, value in (("weight", 2), ("weight", -3), ("weight_zero_point", 2), ("weight_zero_point", -3)):
                beyond = changed(tensors[name], (1, 3), value)
                id = f"quark_int-int2-{name}-of-{value}"
                yield Refusal(id, config, tensors | {name: beyond}, "unsupported-layout")
    lone = dialect.config(dialect.weight("uint2", "tensor"))
    row = Array.of(np.ones((1, 24), np.float16))
    yield Refusal(
        "quark_int-uint2-per_tensor",
        lone,
        packed(lone, np.ones((24, 64)), np.ones((1, 24)), row),
        "unsupported-layout",
    )


def _lone() -> Iterator[Refusal]:
    """A zero point without axes is a number, and no nibble; of a negative one of int4 upstream makes 256 more."""
    config = dialect.config(dialect.weight("int4", "tensor"))
    row = Array.of(np.ones((1, 64), np.float16))
    tensors = packed(config, np.full((64, 96), 8), np.full((1, 64), 8), row)
    for id, value in (("negative", -3), ("of-five-bits", 16)):
        lone = Array.of(np.array(value, np.int32))
        yield Refusal(
            f"quark_int-lone-zero-point-{id}", config, tensors | {"weight_zero_point": lone}, "unsupported-layout"
        )
