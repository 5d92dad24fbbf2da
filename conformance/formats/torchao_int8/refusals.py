"""Modules of torchao's bytes with one thing wrong, above all in what the header of the file says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from .. import refusals as common
from ..module import Refusal
from .packing import BYTES, CODES, METHOD, NARROW, SCALES, ZEROS, described, entry, pack, without_zeros

# Classes that torchao saves, and whose bits lie in another way.
_OTHERS = ("Int4Tensor", "Int4TilePackedTo4dTensor", "Int4PlainInt32Tensor", "Float8Tensor", "MXTensor", "NVFP4Tensor")


def refusals() -> Iterator[Refusal]:
    rng = np.random.default_rng(23)
    own = entry(BYTES, (1, 32))
    scales = Array.of((rng.random((4, 64)) + 0.01).astype(np.float32))
    plain = described(own)
    tensors = pack(rng.integers(0, 256, (64, 128)), rng.integers(0, 256, (4, 64)), scales)

    def refusal(id: str, code: str, config: dict[str, Any] | None = None, /, **changed: Array) -> Refusal:
        return Refusal(f"torchao_int8-{id}", plain if config is None else config, tensors | changed, code)

    for name in (CODES, SCALES, ZEROS):
        yield Refusal(f"torchao_int8-no-{name}", plain, common.without(tensors, name), "missing-tensor")
    yield refusal("zeros-not-described", "unexpected-tensor", described(without_zeros(own)))
    yield refusal("g_idx", "unexpected-tensor", g_idx=Array.of(np.arange(128, dtype=np.int32) // 32))
    for label, pattern in (("nan", 0x7FC00000), ("infinity", 0x7F800000), ("minus-infinity", 0xFF800000)):
        broken = common.changed(tensors[SCALES], (5, 2), pattern)
        yield refusal(f"scale-{label}", "non-finite-scales", **{SCALES: broken})
    for name in (SCALES, ZEROS):
        turned = Array(tensors[name].dtype, tensors[name].bits.T.copy())
        yield refusal(f"{name}-turned", "bad-shape", **{name: turned})
        flat = Array(tensors[name].dtype, tensors[name].bits.reshape(-1))
        yield refusal(f"{name}-of-one-axis", "bad-shape", **{name: flat})
    yield refusal("scales-integer", "unsupported-dtype", **{SCALES: Array.of(np.ones((64, 4), np.int32))})
    yield refusal("zeros-float", "unsupported-dtype", **{ZEROS: Array.of(np.ones((64, 4), np.float32))})
    yield refusal("zeros-of-32-bits", "bad-dtype", **{ZEROS: Array.of(np.ones((64, 4), np.int32))})
    codes = tensors[CODES].bits
    yield refusal("codes-of-32-bits", "bad-dtype", **{CODES: Array.of(codes.astype(np.int32))})
    yield refusal("codes-unsigned", "bad-dtype", **{CODES: Array.of(codes.view(np.uint8))})
    yield refusal("codes-of-three-axes", "bad-shape", **{CODES: Array.of(codes.reshape(2, 32, 128))})
    yield refusal("no-outputs", "bad-shape", **{CODES: Array.of(codes[:0])})
    for label, block in (("wider", (1, 64)), ("taller", (2, 32)), ("not-divided", (1, 48)), ("larger", (128, 128))):
        yield refusal(f"block-{label}", "bad-shape", described(entry(BYTES, block)))
    yield from _entries(tensors)


def _entries(tensors: dict[str, Array]) -> Iterator[Refusal]:
    """What a header should not say."""
    own = entry(BYTES, (1, 32))
    bad, other = "bad-config-value", "unsupported-layout"
    value: Any

    def refusal(id: str, code: str, metadata: Any) -> Refusal:
        return Refusal(f"torchao_int8-{id}", described(own) | {"metadata": metadata}, tensors, code)

    def changed(id: str, code: str, **changes: Any) -> Refusal:
        return refusal(id, code, {"weight": json.dumps(own | changes)})

    def attributes(id: str, code: str, kind: str = BYTES, **changes: Any) -> Refusal:
        return refusal(id, code, {"weight": json.dumps(entry(kind, (1, 32), **changes))})

    yield refusal("not-described", bad, {})
    yield refusal("metadata-null", bad, None)
    yield refusal("metadata-text", bad, json.dumps(own))
    yield Refusal("torchao_int8-metadata-absent", {"quant_method": METHOD}, tensors, bad)
    for label, text in (
        ("empty", ""),
        ("cut", json.dumps(own)[:-9]),
        ("list", "[]"),
        ("number", "1e999"),
        ("null", "null"),
        ("deep", "[" * 60000),
    ):
        yield refusal(f"text-{label}", bad, {"weight": text})
    yield refusal("text-mapping", bad, {"weight": own})
    for label, value in (("absent", None), ("number", 8), ("list", [BYTES])):
        yield changed(f"type-{label}", bad, _type=value)
    yield changed("type-dense", "config-contradiction", _type="Tensor")
    for kind in (*_OTHERS, "a class never heard of", "torch.nn.Module"):
        yield changed(f"type-{kind.replace(' ', '-')}", other, _type=kind)
    for label, value in (("absent", None), ("list", []), ("text", "block_size")):
        yield changed(f"data-{label}", bad, _data=value)
    for label, value in (
        ("absent", None),
        ("text", "qdata"),
        ("mapping", {}),
        ("unheard-of", ["qdata", "scale", "x"]),
        ("nested", [["qdata"]]),
    ):
        yield changed(f"names-{label}", bad, _tensor_data_names=value)
    scaled = [*own["_tensor_data_names"], "act_pre_scale"]
    yield changed("activations-scaled", other, _tensor_data_names=scaled)
    for label, value in (
        ("absent", None),
        ("one", [32]),
        ("zero", [1, 0]),
        ("negative", [1, -32]),
        ("bool", [True, 32]),
        ("float", [1.0, 32.0]),
        ("text", "1, 32"),
        ("endless", [1, 10**400]),
    ):
        yield attributes(f"block_size-{label}", "bad-shape" if label == "endless" else bad, block_size=value)
    yield attributes("block_size-of-experts", other, block_size=[1, 1, 32])
    for label, value in (
        ("absent", None),
        ("text", "bfloat16"),
        ("float8", _dtype("float8_e4m3fn")),
        ("untyped", {"_data": "bfloat16"}),
        ("list", _dtype(["bfloat16"])),
    ):
        yield changed(f"dtype-{label}", bad, _data=own["_data"] | {"dtype": value})
    for label, value in (("absent", None), ("int9", _dtype("int9")), ("number", 4)):
        yield attributes(f"target_dtype-{label}", bad, NARROW, target_dtype=value)


def _dtype(name: object) -> dict[str, object]:
    return {"_type": "torch.dtype", "_data": name}
