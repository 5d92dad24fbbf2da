"""4-bit modules of bitsandbytes with one thing wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from .. import refusals as common
from ..dialects import bitsandbytes as dialect
from ..module import Refusal
from .packing import MAP, OWN, OWN_MAP, STATE, STEPS, described, pack, said

_STATE = STATE + "nf4"
_Wrong = tuple[tuple[str, str, dict[str, Any]], ...]
_BAD = "bad-config-value"
_WRONG: _Wrong = (
    ("type-fp4", _BAD, {"quant_type": "fp4"}),
    ("type-unheard-of", _BAD, {"quant_type": "af4"}),
    ("block-0", _BAD, {"blocksize": 0}),
    ("block-48", _BAD, {"blocksize": 48}),
    ("block-text", _BAD, {"blocksize": "64"}),
    ("block-true", _BAD, {"blocksize": True}),
    ("block-negative", _BAD, {"blocksize": -64}),
    ("dtype-float64", _BAD, {"dtype": "float64"}),
    ("dtype-list", _BAD, {"dtype": ["float16"]}),
    ("shape-null", _BAD, {"shape": None}),
    ("shape-zero", _BAD, {"shape": [0, 96]}),
    ("shape-negative", _BAD, {"shape": [-64, -96]}),
    ("shape-float", _BAD, {"shape": [64.0, 96]}),
    ("shape-text", _BAD, {"shape": "64x96"}),
    ("shape-beyond", _BAD, {"shape": [1 << 40, 1 << 40]}),
    ("key-unheard-of", _BAD, {"rotated": True}),
    ("shape-other", "bad-shape", {"shape": [64, 98]}),
    ("shape-huge", "bad-shape", {"shape": [2**31 - 1, 2**31 - 1]}),
    ("block-of-fewer", "bad-shape", {"blocksize": 32}),
    ("one-axis", "unsupported-layout", {"shape": [6144]}),
    ("three-axes", "unsupported-layout", {"shape": [2, 32, 96]}),
)
_WRONG_NESTED: _Wrong = (
    ("nested-dtype", _BAD, {"nested_dtype": "float16"}),
    ("nested-block", _BAD, {"nested_blocksize": 100}),
    ("offset-text", _BAD, {"nested_offset": "0.25"}),
    ("offset-nan", _BAD, {"nested_offset": float("nan")}),
    ("offset-infinite", _BAD, {"nested_offset": float("inf")}),
    ("offset-beyond", _BAD, {"nested_offset": 1e39}),
    ("offset-null", _BAD, {"nested_offset": None}),
    ("nested-block-of-fewer", "bad-shape", {"nested_blocksize": 32}),
)


def refusals() -> Iterator[Refusal]:
    rng = np.random.default_rng(17)
    codes = rng.integers(0, 16, (64, 96))
    scales = Array.of((rng.random(96) + 0.01).astype(np.float32))
    plain, tensors = dialect.config("nf4"), pack(codes, codes, scales, dtype="bfloat16")
    bytes_ = Array.of(rng.integers(0, 256, 96).astype(np.uint8))
    double = pack(codes, codes, bytes_, dtype="bfloat16", nested=(STEPS, np.array([0.5]), 0.25))

    def refusal(id: str, code: str, changed: dict[str, Array], of: dict[str, Array] = tensors) -> Refusal:
        return Refusal(f"bnb_4bit-{id}", plain, of | changed, code)

    for label, pattern in (("nan", 0x7FC00000), ("infinity", 0x7F800000), ("minus-infinity", 0xFF800000)):
        broken = {"weight.absmax": common.changed(scales, (7,), pattern)}
        yield refusal(f"scale-{label}", "non-finite-scales", broken)
        broken = {OWN: common.changed(double[OWN], (0,), pattern)}
        yield refusal(f"nested-{label}", "non-finite-scales", broken, double)
        broken = {OWN_MAP: common.changed(double[OWN_MAP], (200,), pattern)}
        yield refusal(f"nested-map-{label}", "non-finite-scales", broken, double)
    for name in ("weight", "weight.absmax", MAP, _STATE):
        yield Refusal(f"bnb_4bit-no-{name}", plain, common.without(tensors, name), "missing-tensor")
    for name in (OWN, OWN_MAP):
        yield Refusal(f"bnb_4bit-no-{name}", plain, common.without(double, name), "missing-tensor")
    yield refusal("nested-beside-floats", "unexpected-tensor", {OWN: double[OWN]})
    yield refusal("two-states", "unexpected-tensor", {STATE + "fp4": tensors[_STATE]})
    yield refusal("zero-points", "unexpected-tensor", {"weight_zero_point": scales})
    yield refusal("bytes-without-a-map", "bad-dtype", {"weight.absmax": bytes_})
    yield refusal("floats-beside-a-map", "bad-dtype", {"weight.absmax": scales}, double)
    yield refusal("map-of-fp4", "config-contradiction", {MAP: pack(codes, codes, scales, kind="fp4")[MAP]})
    yield refusal("map-float16", "bad-dtype", {MAP: Array.of(tensors[MAP].float64().astype(np.float16))})
    for label, shape in (("short", 95), ("long", 97)):
        cut = Array("float32", np.resize(scales.bits, shape))
        yield refusal(f"scales-{label}", "bad-shape", {"weight.absmax": cut})
    yield refusal("scales-in-a-column", "bad-shape", {"weight.absmax": Array("float32", scales.bits[:, None])})
    yield refusal("scales-integer", "bad-dtype", {"weight.absmax": Array.of(np.ones(96, np.int32))})
    weight = tensors["weight"].bits
    for label, found in (
        ("short", weight[:-1]),
        ("long", np.concatenate([weight, weight[:1]])),
        ("in-a-row", weight.T),
    ):
        yield refusal(f"weight-{label}", "bad-shape", {"weight": Array("uint8", np.ascontiguousarray(found))})
    yield refusal("weight-without-axes", "bad-shape", {"weight": Array("uint8", weight.ravel())})
    yield refusal("weight-int32", "bad-dtype", {"weight": Array.of(np.ones((768, 1), np.int32))})
    yield from _states(tensors, double, plain)
    for id, code, changes in (
        ("both-widths", "bad-config-value", {"load_in_8bit": True}),
        ("neither-width", "bad-config-value", {"load_in_4bit": False}),
        ("spellings-disagree", "config-contradiction", {"_load_in_4bit": False}),
        ("width-text", "bad-config-value", {"load_in_4bit": "true"}),
        ("type-unheard-of", "unsupported-layout", {"bnb_4bit_quant_type": "af4"}),
    ):
        yield Refusal(f"bnb_4bit-{id}", plain | changes, tensors, code)
    int8 = {"weight": Array.of(np.ones((64, 96), np.int8)), "SCB": Array.of(np.ones(64, np.float32))}
    yield Refusal("bnb_4bit-tensors-of-int8", plain, int8, "missing-tensor")


def _states(tensors: dict[str, Array], double: dict[str, Array], plain: dict[str, Any]) -> Iterator[Refusal]:
    """What the JSON may not say: it comes from the file, like everything."""

    def refusal(id: str, code: str, text: str | None, of: dict[str, Array] = tensors, **changes: Any) -> Refusal:
        own = described(json.dumps(said(of)[1] | changes) if text is None else text)
        return Refusal(f"bnb_4bit-state-{id}", plain, of | {_STATE: own}, code)

    for id, text in (
        ("empty", ""),
        ("no-json", "{"),
        ("a-list", "[]"),
        ("deep", "[" * 3000),
        ("null", "null"),
        ("a-long-number", f'{{"blocksize": 1{"0" * 4000}}}'),
    ):
        yield refusal(id, _BAD, text)
    yield refusal("too-long", _BAD, json.dumps({"quant_type": "nf4"}) + " " * 5000)
    for id, code, changes in _WRONG:
        yield refusal(id, code, None, **changes)
    for id, code, changes in _WRONG_NESTED:
        yield refusal(id, code, None, double, **changes)
