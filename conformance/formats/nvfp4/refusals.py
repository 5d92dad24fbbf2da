"""NVFP4 modules with one thing wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from .. import refusals as common
from ..module import Refusal
from .grid import USUAL
from .packing import SMALL, compressed, modelopt, named, number


def refusals() -> Iterator[Refusal]:
    rng = np.random.default_rng(16)
    codes, bytes_ = rng.integers(0, 16, (24, 64)), USUAL[rng.integers(0, len(USUAL), (24, 4))].astype(np.uint8)
    yield from _modules("ct", compressed(), named(compressed(), codes, bytes_, np.array([3210.5])))
    yield from _modules("modelopt", modelopt(), named(modelopt(), codes, bytes_, np.array(0.0003)))
    ct, tensors = compressed(), named(compressed(), codes, bytes_, np.array([3210.5]))

    def refusal(id: str, code: str, config: dict[str, Any], **changed: Array) -> Refusal:
        return Refusal(f"nvfp4-ct-{id}", config, tensors | changed, code)

    zero = Array.of(np.zeros(1, np.float32))
    yield refusal("divisor-zero", "non-finite-scales", ct, weight_global_scale=zero)
    scalar = number(3210.5)
    yield refusal("divisor-without-axes", "bad-shape", ct, weight_global_scale=scalar)
    half = Array(SMALL, np.resize(bytes_, (24, 2)))
    yield refusal("group_size-32", "unsupported-group-size", compressed(group_size=32), weight_scale=half)
    yield refusal("of-channels", "unsupported-layout", compressed(strategy="channel"))
    yield refusal("of-8-bits", "unsupported-bits", compressed(num_bits=8))
    yield refusal("asymmetric", "unsupported-layout", compressed(symmetric=False))
    named_ = named(modelopt(), codes, bytes_, np.array(0.0003))
    smooth = named_ | {"pre_quant_scale": Array.of(np.ones(64, np.float32))}
    yield Refusal("nvfp4-modelopt-pre_quant_scale", modelopt(), smooth, "unexpected-tensor")
    for algorithm in ("NVFP4_AWQ", "NVFP4_SVD"):
        yield Refusal(f"nvfp4-modelopt-{algorithm.lower()}", modelopt(algorithm), smooth, "unsupported-layout")
    yield Refusal("nvfp4-modelopt-group_size", modelopt() | {"group_size": 32}, named_, "unsupported-group-size")
    dense = named_ | {"weight": Array("bfloat16", np.full((24, 64), 0x3F80, np.uint16))}
    yield Refusal("nvfp4-modelopt-dense", modelopt(), dense, "bad-dtype")
    # Tensors of FP8 under its name, and its own under the name of FP8.
    yield Refusal("nvfp4-modelopt-as-fp8", modelopt("FP8"), named_, "unexpected-tensor")


def _modules(label: str, config: dict[str, Any], tensors: dict[str, Array]) -> Iterator[Refusal]:
    codes, scales, whole = tensors

    def refusal(id: str, code: str, **changed: Array) -> Refusal:
        return Refusal(f"nvfp4-{label}-{id}", config, tensors | changed, code)

    for pattern, at in ((0x7F, (0, 0)), (0xFF, (23, 3)), (0x7F, (11, 2))):
        broken = common.changed(tensors[scales], at, pattern)
        yield refusal(f"scale-nan-{pattern:02x}-{at[0]}", "non-finite-scales", weight_scale=broken)
    for kind, bits in (("nan", 0x7FC00000), ("infinity", 0x7F800000), ("minus-infinity", 0xFF800000)):
        broken = Array("float32", np.full(tensors[whole].shape, bits, np.uint32))
        yield refusal(f"whole-{kind}", "non-finite-scales", **{whole: broken})
    for leaf in tensors:
        yield Refusal(f"nvfp4-{label}-no-{leaf}", config, common.without(tensors, leaf), "missing-tensor")
    yield refusal("zero-points", "unexpected-tensor", weight_zero_point=tensors[scales])
    for kind, shape in (
        ("row-short", (23, 32)),
        ("column-short", (24, 31)),
        ("of-32", (24, 64)),
        ("one-axis", (768,)),
        ("three-axes", (2, 12, 32)),
        ("empty", (24, 0)),
    ):
        changed = Array("uint8", np.resize(tensors[codes].bits, shape))
        yield refusal(f"codes-{kind}", "bad-shape", **{codes: changed})
    for kind, axes in (("one-axis", (96,)), ("four-axes", (24, 4, 1, 1)), ("empty", (0, 4))):
        changed = Array(SMALL, np.resize(tensors[scales].bits, axes))
        yield refusal(f"scales-{kind}", "bad-shape", weight_scale=changed)
    for ones in (Array.of(np.ones((24, 4), np.float32)), Array("bfloat16", np.full((24, 4), 0x3F80, np.uint16))):
        yield refusal(f"scales-{ones.dtype}", "bad-dtype", weight_scale=ones)
    yield refusal("codes-int32", "bad-dtype", **{codes: Array.of(np.ones((24, 32), np.int32))})
    yield refusal("whole-float16", "bad-dtype", **{whole: Array("float16", np.full((1,), 0x3C00, np.uint16))})
    yield refusal("whole-of-outputs", "bad-shape", **{whole: Array.of(np.ones(24, np.float32))})
