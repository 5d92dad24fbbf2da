"""Modules of FP8 in parts with one thing wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from .. import refusals as common
from ..draw import Draw
from ..fp8.grid import LEGAL
from ..module import Refusal
from ..torchao_int8.packing import described
from .packing import CODE, NAMES, QUANTO, TORCHAO, entry, quanto, stored, torchao


def refusals() -> Iterator[Refusal]:
    draw = Draw("fp8_parts-refusals")
    codes = LEGAL[draw.below(len(LEGAL), 64, 96)]
    yield from _of("quanto", quanto(), stored(QUANTO, codes, draw.scales("float16", "ordinary", 64, 1)), NAMES[QUANTO])
    tensors = stored(TORCHAO, codes, draw.scales("float32", "ordinary", 2, 3))
    yield from _of("torchao", torchao((32, 32)), tensors, NAMES[TORCHAO])
    for kind in ("e5m2", "e4m3fnuz"):
        given = stored(QUANTO, codes, draw.scales("float16", "ordinary", 64, 1))
        yield Refusal(f"fp8_parts-quanto-{kind}", quanto(f"qfloat8_{kind}"), given, "unsupported-layout")
    for id, code, config in (
        ("blocks-of-others", "bad-shape", torchao((16, 32))),
        ("blocks-too-wide", "bad-shape", torchao((32, 64))),
        ("blocks-that-divide-nothing", "bad-shape", torchao((48, 40))),
        ("blocks-named-whole", "bad-shape", described(entry([]))),
        ("block-zero", "bad-config-value", torchao((0, 32))),
        ("block-text", "bad-config-value", described(entry([]) | {"_data": entry([])["_data"] | {"block_size": "32"}})),
        ("block-of-one", "bad-config-value", described(entry([32]))),
        ("block-of-three", "unsupported-layout", described(entry([1, 32, 32]))),
        ("dtype-unheard-of", "bad-config-value", torchao((32, 32), "float64")),
        ("with-divisors", "unsupported-layout", described(entry([32, 32]) | {"_tensor_data_names": ["act_pre_scale"]})),
    ):
        yield Refusal(f"fp8_parts-torchao-{id}", config, tensors, code)
    yield Refusal("fp8_parts-quanto-as-torchao", torchao((1, 96)), given, "missing-tensor")


def _of(slug: str, config: dict[str, Any], tensors: dict[str, Array], names: tuple[str, str]) -> Iterator[Refusal]:
    codes, scales = (tensors[name] for name in names)

    def refusal(id: str, code: str, **changed: Array) -> Refusal:
        return Refusal(f"fp8_parts-{slug}-{id}", config, tensors | changed, code)

    for name in names:
        yield Refusal(f"fp8_parts-{slug}-no-{name}", config, common.without(tensors, name), "missing-tensor")
    infinity = {"float16": 0x7C00, "float32": 0x7F800000}[scales.dtype]
    for label, pattern in (("infinity", infinity), ("nan", infinity + 1)):
        yield refusal(f"scale-{label}", "non-finite-scales", **{names[1]: common.changed(scales, (1, 0), pattern)})
    own = scales.bits
    for label, bits in (("turned", own.T.copy()), ("of-one-axis", own.ravel()), ("short", own[1:])):
        yield refusal(f"scales-{label}", "bad-shape", **{names[1]: Array(scales.dtype, bits)})
    yield refusal("scales-integer", "unsupported-dtype", **{names[1]: Array.of(np.ones(scales.shape, np.int32))})
    yield refusal("codes-int8", "bad-dtype", **{names[0]: Array.of(codes.bits.view(np.int8))})
    yield refusal("codes-float16", "bad-dtype", **{names[0]: Array("float16", codes.bits.astype(np.uint16))})
    for axes, shape in (("one-axis", (-1,)), ("three-axes", (2, 32, 96))):
        yield refusal(f"codes-{axes}", "bad-shape", **{names[0]: Array(CODE, codes.bits.reshape(shape))})
    yield refusal("no-outputs", "bad-shape", **{names[0]: Array(CODE, codes.bits[:0])})
    yield refusal("with-g_idx", "unexpected-tensor", g_idx=Array.of(np.arange(96, dtype=np.int32)))
