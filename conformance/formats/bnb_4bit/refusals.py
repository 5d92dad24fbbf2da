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


def refusals() -> Iterator[Refusal]:
    rng = np.random.default_rng(17)
    codes = rng.integers(0, 16, (64, 96))
    scales = Array.of((rng.random(96) + 0.01).astype(np.float32))
    plain, tensors = dialect.config("nf4"), pack(codes, codes, scales, dtype="bfloat16")
    bytes_ = Array.of(rng.integers(0, 256, 96).astype(np.uint8))
    double = pack(codes, codes, bytes_, dtype="bfloat16", nested=(STEPS, np.array([0.5]), 0.25))

    def refusal(id: str, code: str, of: dict[str, Array] = tensors, **changed: Any) -> Refusal:
        return Refusal(f"bnb_4bit-{id}", changed.pop("config", plain), of | changed, code)

    for label, pattern in (("nan", 0x7FC00000), ("infinity", 0x7F800000), ("minus-infinity", 0xFF800000)):
        broken = {"weight.absmax": common.changed(scales, (7,), pattern)}
        yield refusal(f"scale-{label}", "non-finite-scales", **broken)
        yield refusal(f"nested-{label}", "non-finite-scales", double, **{OWN: common.changed(double[OWN], (0,), pattern)})
        broken = {OWN_MAP: common.changed(double[OWN_MAP], (200,), pattern)}
        yield refusal(f"nested-map-{label}", "non-finite-scales", double, **broken)
    for name in ("weight", "weight.absmax", MAP, _STATE):
        yield Refusal(f"bnb_4bit-no-{name}", plain, common.without(tensors, name), "missing-tensor")
    for name in (OWN, OWN_MAP):
        yield Refusal(f"bnb_4bit-no-{name}", plain, common.without(double, name), "missing-tensor")
    yield refusal("nested-beside-floats", "unexpected-tensor", **{OWN: double[OWN]})
    yield refusal("two-states", "unexpected-tensor", **{STATE + "fp4": tensors[_STATE]})
    yield refusal("zero-points", "unexpected-tensor", weight_zero_point=scales)
    yield refusal("bytes-without-a-map", "bad-dtype", **{"weight.absmax": bytes_})
    yield refusal("floats-beside-a-map", "bad-dtype", double, **{"weight.absmax": scales})
    yield refusal("map-of-fp4", "config-contradiction", **{MAP: pack(codes, codes, scales, kind="fp4")[MAP]})
    yield refusal("map-float16", "bad-dtype", **{MAP: Array.of(tensors[MAP].float64().astype(np.float16))})
    for label, shape in (("short", 95), ("long", 97)):
        cut = Array("float32", np.resize(scales.bits, shape))
        yield refusal(f"scales-{label}", "bad-shape", **{"weight.absmax": cut})
    yield refusal("scales-in-a-column", "bad-shape", **{"weight.absmax": Array("float32", scales.bits[:, None])})
    yield refusal("scales-integer", "bad-dtype", **{"weight.absmax": Array.of(np.ones(96, np.int32))})
    weight = tensors["weight"].bits
    for label, found in (("short", weight[:-1]), ("long", np.concatenate([weight, weight[:1]])), ("in-a-row", weight.T)):
        yield refusal(f"weight-{label}", "bad-shape", weight=Array("uint8", np.ascontiguousarray(found)))
    yield refusal("weight-without-axes", "bad-shape", weight=Array("uint8", weight.ravel()))
    yield refusal("weight-int32", "bad-dtype", weight=Array.of(np.ones((768, 1), np.int32)))
    yield from _states(tensors, double, plain)
    for id, code, changes in (
        ("both-widths", "bad-config-value", {"load_in_8bit": True}),
        ("neither-width", "bad-config-value", {"load_in_4bit": False}),
        ("spellings-disagree", "config-contradiction", {"_load_in_4bit": False}),
        ("width-text", "bad-config-value", {"load_in_4bit": "true"}),
        ("type-unheard-of", "unsupported-layout", {"bnb_4bit_quant_type": "af4"}),
    ):
        yield refusal(id, code, config=plain | changes)
    int8 = {"weight": Array.of(np.ones((64, 96), np.int8)), "SCB": Array.of(np.ones(64, np.float32))}
    yield Refusal("bnb_4bit-tensors-of-int8", plain, int8, "missing-tensor")


def _states(tensors: dict[str, Array], double: dict[str, Array], plain: dict[str, Any]) -> Iterator[Refusal]:
    """What the JSON may not say: it comes from the file, like everything."""

    def refusal(id: str, code: str, text: str | None, of: dict[str, Array] = tensors, **changes: Any) -> Refusal:
        own = described(json.dumps(said(of)[1] | changes) if text is None else text)
        return Refusal(f"bnb_4bit-state-{id}", plain, of | {_STATE: own}, code)

    bad = "bad-config-value"
    for id, text in (
        ("empty", ""),
        ("no-json", "{"),
        ("a-list", "[]"),
        ("deep", "[" * 3000),
        ("null", "null"),
        ("a-long-number", f'{{"blocksize": 1{"0" * 4000}}}'),
    ):
        yield refusal(id, bad, text)
    yield refusal("too-long", "too-large", json.dumps({"quant_type": "nf4"}) + " " * 5000)
    for id, changes in (
        ("type-fp4", {"quant_type": "fp4"}),
        ("type-unheard-of", {"quant_type": "af4"}),
        ("block-0", {"blocksize": 0}),
        ("block-48", {"blocksize": 48}),
        ("block-text", {"blocksize": "64"}),
        ("block-true", {"blocksize": True}),
        ("block-negative", {"blocksize": -64}),
        ("dtype-float64", {"dtype": "float64"}),
        ("dtype-list", {"dtype": ["float16"]}),
        ("shape-null", {"shape": None}),
        ("shape-zero", {"shape": [0, 96]}),
        ("shape-negative", {"shape": [-64, -96]}),
        ("shape-float", {"shape": [64.0, 96]}),
        ("shape-text", {"shape": "64x96"}),
        ("shape-beyond", {"shape": [1 << 40, 1 << 40]}),
        ("key-unheard-of", {"rotated": True}),
    ):
        yield refusal(id, bad, None, **changes)
    for id, changes in (
        ("shape-other", {"shape": [64, 98]}),
        ("shape-huge", {"shape": [2**31 - 1, 2**31 - 1]}),
        ("block-of-fewer", {"blocksize": 32}),
    ):
        yield refusal(id, "bad-shape", None, **changes)
    for id, shape in (("one-axis", [6144]), ("three-axes", [2, 32, 96])):
        yield refusal(id, "unsupported-layout", None, shape=shape)
    for id, changes in (
        ("nested-dtype", {"nested_dtype": "float16"}),
        ("nested-block", {"nested_blocksize": 100}),
        ("offset-text", {"nested_offset": "0.25"}),
        ("offset-nan", {"nested_offset": float("nan")}),
        ("offset-infinite", {"nested_offset": float("inf")}),
        ("offset-beyond", {"nested_offset": 1e39}),
        ("offset-null", {"nested_offset": None}),
    ):
        yield refusal(id, bad, None, double, **changes)
    yield refusal("nested-block-of-fewer", "bad-shape", None, double, nested_blocksize=32)
