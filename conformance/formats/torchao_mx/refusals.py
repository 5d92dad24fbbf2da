"""Modules of torchao's MX and NVFP4 with one thing wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from .. import refusals as common
from ..draw import Draw
from ..fp8.grid import LEGAL
from ..module import Refusal
from ..nvfp4.grid import USUAL
from ..nvfp4.packing import number
from ..torchao_int8.packing import described
from .packing import CODES, FOURS, KINDS, MXFP4, MXFP8, SCALES, WHOLE, entry, stored

SLUG = "torchao_mx"
_Module = tuple[dict[str, Any], dict[str, Array]]
# More than a tile: turned, its scales have another shape.
OUT = 136
_NAN = {MXFP8: 0xFF, MXFP4: 0xFF, FOURS: 0x7F}


def refusals() -> Iterator[Refusal]:
    draw = Draw(f"{SLUG}-refusals")
    eights, fours = LEGAL[draw.below(len(LEGAL), OUT, 96)], draw.below(16, OUT, 96)
    powers, small = draw.below(16, OUT, 3) + 112, USUAL[draw.below(len(USUAL), OUT, 6)]

    def module(own: dict[str, Any], *numbers: Any) -> _Module:
        config = described(own)
        return config, stored(config, *numbers)

    modules = {MXFP8: (eights, powers), MXFP4: (fours, powers), FOURS: (fours, small)}
    for kind, numbers in modules.items():
        for label in ("tiles", "rows"):
            yield from _of(f"{kind}-{label}", kind, *module(entry(kind, swizzled=label == "tiles"), *numbers))
        own = module(entry(kind), *numbers)[1]
        yield Refusal(f"{SLUG}-{kind}-tiles-as-rows", described(entry(kind, swizzled=False)), own, "bad-shape")
    yield from _of_wholes(*module(entry(FOURS, whole=True), fours, small, 0.0003))
    # What the header says of tensors that are sound.
    for kind, numbers in modules.items():
        own = module(entry(kind), *numbers)[1]
        for id, code, changes in _attributes(kind):
            yield Refusal(f"{SLUG}-{kind}-{id}", described(entry(kind, **changes)), own, code)
        for id, code, names in (
            ("names-absent", "bad-config-value", None),
            ("names-unheard-of", "bad-config-value", ["qdata", "scale", "lut"]),
            ("zero-points-named", "unsupported-layout", ["qdata", "scale", "zero_point"]),
            ("inputs-scaled", "unsupported-layout", ["qdata", "scale", "act_pre_scale"]),
        ):
            yield Refusal(f"{SLUG}-{kind}-{id}", described(entry(kind) | {"_tensor_data_names": names}), own, code)
        without = entry(kind)
        del without["_data"]["block_size"]
        yield Refusal(f"{SLUG}-{kind}-block_size-absent", described(without), own, "bad-config-value")
    four, own = module(entry(MXFP4), fours, powers)
    whole = entry(MXFP4) | {"_tensor_data_names": ["per_tensor_scale", "qdata", "scale"]}
    one = number(1)
    yield Refusal(f"{SLUG}-mxfp4-scale-of-the-matrix", described(whole), own | {WHOLE: one}, "unsupported-layout")
    yield Refusal(f"{SLUG}-mxfp4-scale-not-named", four, own | {WHOLE: one}, "unexpected-tensor")
    yield Refusal(f"{SLUG}-mxfp4-as-mxfp8", described(entry(MXFP8)), own, "bad-shape")
    yield Refusal(f"{SLUG}-mxfp4-as-nvfp4", described(entry(FOURS)), own, "bad-shape")
    eight = module(entry(MXFP8), eights, powers)[1]
    yield Refusal(f"{SLUG}-mxfp8-as-mxfp4", four, eight, "bad-shape")
    silent = entry(MXFP4)
    del silent["_data"]["is_swizzled_scales"]
    yield Refusal(f"{SLUG}-mxfp4-swizzled-absent", described(silent), own, "bad-config-value")


def _attributes(kind: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Ids, codes, and attributes that are wrong."""
    bad, size = "bad-config-value", KINDS[kind][1]
    for other in (8, 48 - size, 64):
        yield f"block_size-{other}", "unsupported-group-size", {"block_size": other}
    wrong: dict[str, dict[str, Any]] = {
        "block_size": {"zero": 0, "text": "32", "bool": True, "float": 32.0, "list": [1, 32]},
        "is_swizzled_scales": {"null": None, "text": "false", "number": 1},
        "orig_dtype": {"null": None, "text": "bfloat16", "float64": _dtype("float64")},
    }
    if kind != FOURS:
        lists = ["fp6_e2m3"]
        wrong["elem_dtype"] = {"null": None, "text": "float8_e4m3fn", "int8": _dtype("int8"), "list": lists}
        yield "orig_dtype-float16", "unsupported-dtype", {"orig_dtype": _dtype("float16")}
        for element in ("fp6_e2m3", "fp6_e3m2"):
            yield f"elem_dtype-{element}", "unsupported-layout", {"elem_dtype": element}
        yield "elem_dtype-float8_e5m2", "unsupported-layout", {"elem_dtype": _dtype("float8_e5m2")}
    for key, values in wrong.items():
        for label, value in values.items():
            yield f"{key}-{label}", bad, {key: value}


def _dtype(name: str) -> dict[str, str]:
    return {"_type": "torch.dtype", "_data": name}


def _of(slug: str, kind: str, config: dict[str, Any], tensors: dict[str, Array]) -> Iterator[Refusal]:
    codes, scales = tensors[CODES], tensors[SCALES]

    def refusal(id: str, code: str, **changed: Array) -> Refusal:
        return Refusal(f"{SLUG}-{slug}-{id}", config, tensors | changed, code)

    for name in (CODES, SCALES):
        yield Refusal(f"{SLUG}-{slug}-no-{name}", config, common.without(tensors, name), "missing-tensor")
    nan = common.changed(scales, (1, 0), _NAN[kind])
    yield refusal("scale-nan", "non-finite-scales", **{SCALES: nan})
    for label, bits in (
        ("turned", scales.bits.T.copy()),
        ("of-one-axis", scales.bits.ravel()),
        ("short", scales.bits[1:]),
    ):
        yield refusal(f"scales-{label}", "bad-shape", **{SCALES: Array(scales.dtype, bits)})
    yield refusal("scales-float32", "bad-dtype", **{SCALES: Array.of(np.ones(scales.shape, np.float32))})
    yield refusal("scales-int32", "bad-dtype", **{SCALES: Array.of(np.ones(scales.shape, np.int32))})
    yield refusal("codes-int32", "bad-dtype", **{CODES: Array.of(codes.bits.astype(np.int32))})
    yield refusal("codes-float16", "bad-dtype", **{CODES: Array("float16", codes.bits.astype(np.uint16))})
    for axes, shape in (("one-axis", (-1,)), ("three-axes", (2, OUT // 2, codes.shape[1])), ("half", (2 * OUT, -1))):
        changed = Array(codes.dtype, codes.bits.reshape(shape))
        yield refusal(f"codes-{axes}", "bad-shape", **{CODES: changed})
    yield refusal("codes-of-a-part-of-a-group", "bad-shape", **{CODES: Array(codes.dtype, codes.bits[:, :-2].copy())})
    yield refusal("no-outputs", "bad-shape", **{CODES: Array(codes.dtype, codes.bits[:0])})
    yield refusal("with-g_idx", "unexpected-tensor", g_idx=Array.of(np.arange(96, dtype=np.int32)))


def _of_wholes(config: dict[str, Any], tensors: dict[str, Array]) -> Iterator[Refusal]:
    def refusal(id: str, code: str, whole: Array) -> Refusal:
        return Refusal(f"{SLUG}-nvfp4-whole-{id}", config, tensors | {WHOLE: whole}, code)

    yield Refusal(f"{SLUG}-nvfp4-no-{WHOLE}", config, common.without(tensors, WHOLE), "missing-tensor")
    named = described(entry(FOURS))
    yield Refusal(f"{SLUG}-nvfp4-{WHOLE}-not-named", named, tensors, "unexpected-tensor")
    for kind, bits in (("nan", 0x7FC00000), ("infinity", 0x7F800000), ("minus-infinity", 0xFF800000)):
        yield refusal(kind, "non-finite-scales", Array("float32", np.array(bits, np.uint32)))
    yield refusal("too-large", "non-finite-scales", number(3e38))
    yield refusal("of-one-axis", "bad-shape", Array.of(np.ones(1, np.float32)))
    yield refusal("of-outputs", "bad-shape", Array.of(np.ones(OUT, np.float32)))
    yield refusal("float16", "bad-dtype", Array("float16", np.array(0x3C00, np.uint16)))
