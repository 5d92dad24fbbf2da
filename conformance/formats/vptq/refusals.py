"""Modules of VPTQ with one thing wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from .. import refusals as common
from ..draw import Draw
from ..module import Refusal
from .packing import (
    APART,
    BIASES,
    BOOKS,
    ENTRIES,
    FEW_INDICES,
    FEW_TABLES,
    GROUP,
    IN,
    INDICES,
    LAYERS,
    LENS,
    METHOD,
    NORM,
    ORDER,
    OUT,
    PERM,
    RES_TABLES,
    RESIDUALS,
    SCALES,
    SHARED,
    TABLES,
    Kind,
    alone,
    laid,
    settings,
)

_OUT, _IN, _FEW = 32, 48, 8
_FLOATS = (TABLES, RES_TABLES, FEW_TABLES, SCALES, BIASES)


def refusals() -> Iterator[Refusal]:
    value: Any
    wrong: Any
    draw, kind = Draw("vptq-refusals"), Kind(6, 3, 4, few=(_FEW, 4, 20))
    plain = settings(kind, out_features=_OUT, in_features=_IN, group_size=_IN - _FEW)
    codes = draw.below(64, 1, _OUT // 4, _IN - _FEW)
    tensors = laid(
        kind,
        codes,
        draw.scales("float16", "ordinary", 1, 64, 4),
        residuals=(codes % 8, draw.scales("float16", "ordinary", 1, 8, 4)),
        outliers=(draw.below(20, _OUT // 4, _FEW), draw.scales("float16", "ordinary", 20, 4)),
        perm=draw.shuffled(np.arange(_IN)),
        norm=(draw.scales("float16", "ordinary", _IN), draw.scales("float16", "negative", _IN)),
    )

    def stored(id: str, code: str, /, **changed: Array) -> Refusal:
        return Refusal(f"vptq-{id}", alone(plain), tensors | changed, code)

    def told(id: str, code: str, changes: dict[str, Any]) -> Refusal:
        return Refusal(f"vptq-{id}", alone(plain | changes), tensors, code)

    for name in _FLOATS:
        for label, pattern in (("nan", 0x7E00), ("infinity", 0x7C00)):
            place = (0, 5) if tensors[name].bits.ndim == 2 else (5,)
            yield stored(
                f"{name}-{label}", "non-finite-scales", **{name: common.changed(tensors[name], place, pattern)}
            )
        wide = Array.of(tensors[name].float64().astype(np.float32))
        if name != TABLES:
            yield stored(f"{name}-float32", "bad-dtype", **{name: wide})
    yield stored("centroids-float32", "bad-dtype", **{TABLES: Array.of(tensors[TABLES].float64().astype(np.float32))})
    yield stored("centroids-integer", "unsupported-dtype", **{TABLES: Array.of(np.ones((1, 256), np.int32))})
    for name, array in tensors.items():
        yield Refusal(f"vptq-no-{name}", alone(plain), common.without(tensors, name), "missing-tensor")
        cut = Array(array.dtype, np.ascontiguousarray(array.bits[..., :-1]))
        yield stored(f"{name}-short", "bad-shape", **{name: cut})
        flat = Array(array.dtype, array.bits[None] if array.bits.ndim < 3 else array.bits[0])
        yield stored(f"{name}-of-other-axes", "bad-shape", **{name: flat})
    yield stored("indices-int64", "bad-dtype", **{INDICES: Array.of(tensors[INDICES].bits.astype(np.int64))})
    yield stored("perm-int64", "bad-dtype", **{ORDER: Array.of(tensors[ORDER].bits.astype(np.int64))})
    yield stored("outliers-int32", "bad-dtype", **{FEW_INDICES: Array.of(tensors[FEW_INDICES].bits.astype(np.int32))})
    for label, value in (("twice", int(tensors[ORDER].bits[7])), ("beyond", _IN), ("negative", -1)):
        yield stored(f"input-{label}", "group-index-out-of-range", **{ORDER: _changed(tensors[ORDER], (3,), value)})
    for label, value in (("beyond", 20), ("negative", -1)):
        broken = _changed(tensors[FEW_INDICES], (0, 3, 2), value)
        yield stored(f"outlier-{label}", "group-index-out-of-range", **{FEW_INDICES: broken})
    yield stored("zero-points", "unexpected-tensor", qzeros=Array.of(np.zeros((32, 1), np.int32)))
    yield stored("res-indices", "unexpected-tensor", res_indices=Array.of(codes.astype(np.int16)))
    yield told("residuals-not-said", "unexpected-tensor", {RESIDUALS: [-1, -1]})
    yield told("outliers-not-said", "unexpected-tensor", {APART: 0, ENTRIES: [-1, 64], LENS: [-1, 4]})
    yield told("perm-not-said", "unexpected-tensor", {PERM: False})
    yield told("norm-not-said", "unexpected-tensor", {NORM: False})
    for key, value in (("is_indice_packed", False), ("indices_as_float", True), ("vector_quant_dim", "in")):
        yield told(key, "unsupported-layout", {key: value})
    for entries in (48, 65, 0, -64):
        yield told(f"entries-{entries}", "unsupported-layout", {ENTRIES: [20, entries]})
    yield told("entries-1", "unsupported-bits", {ENTRIES: [20, 1], RESIDUALS: [-1, -1]})
    yield told("entries-131072", "unsupported-bits", {ENTRIES: [20, 1 << 17]})
    # VPTQ cuts the code of a residual to the bits of a code.
    for residuals in (1, 3, 128):
        yield told(f"residuals-{residuals}", "unsupported-layout", {RESIDUALS: [-1, residuals]})
    yield told("residuals-of-outliers", "unsupported-layout", {RESIDUALS: [8, 8]})
    for label, changes in (
        ("entries", {ENTRIES: [20, 32]}),
        ("residuals", {RESIDUALS: [-1, 4]}),
        ("vector", {LENS: [4, 8]}),
        ("outlier-vector", {LENS: [8, 4]}),
        ("outlier-entries", {ENTRIES: [21, 64]}),
        ("codebooks", {BOOKS: 2}),
        ("group", {GROUP: _IN}),
        ("outliers", {APART: 16, GROUP: 32}),
        ("inputs", {IN: _IN + 8}),
        ("outputs", {OUT: _OUT + 1}),
    ):
        yield told(f"{label}-contradicted", "bad-shape", changes)
    yield told("outliers-of-no-codebook", "bad-config-value", {LENS: [-1, 4]})
    yield told("no-outliers-of-a-codebook", "bad-config-value", {APART: 0})
    yield told("vectors-of-none", "bad-config-value", {LENS: [4, 0]})
    for key in (LENS, ENTRIES, RESIDUALS):
        for label, wrong in (("text", "8"), ("one", [8]), ("null", None), ("texts", ["4", "8"]), ("real", [4.0, 8.0])):
            yield told(f"{key}-{label}", "bad-config-value", {key: wrong})
    for key in (BOOKS, GROUP, APART, PERM, NORM):
        for label, wrong in (("text", "1"), ("null", None), ("list", [1])):
            yield told(f"{key}-{label}", "bad-config-value", {key: wrong})
    for key in (BOOKS, GROUP, IN, OUT):
        yield told(f"{key}-zero", "bad-config-value", {key: 0})
        yield told(f"{key}-beyond", "bad-config-value", {key: 1 << 70})
    yield Refusal("vptq-nothing-said", {"quant_method": METHOD}, tensors, "bad-config-value")
    for label, wrong in (("list", [plain]), ("text", "all"), ("of-text", {"up_proj": "all"})):
        yield Refusal(f"vptq-layers-{label}", {"quant_method": METHOD, LAYERS: wrong}, tensors, "bad-config-value")
        yield Refusal(f"vptq-shared-{label}", {"quant_method": METHOD, SHARED: wrong}, tensors, "bad-config-value")


def _changed(array: Array, place: tuple[int, ...], value: int) -> Array:
    found = array.bits.copy()
    found[place] = value
    return Array(array.dtype, found)
