"""``pack-quantized`` modules with one thing wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ..dialects import compressed_tensors as dialect
from ..module import Refusal
from ..refusals import changed, without
from .packing import FORMAT, config, pack

PLAIN = config(4, 32)


def _weights(**changes: Any) -> dict[str, Any]:
    return dialect.config(FORMAT, 4, 32, **changes)


def refusals() -> Iterator[Refusal]:
    rng = np.random.default_rng(12)
    scales = Array.of((rng.random((4, 64)) * 0.01).astype(np.float16))
    tensors = pack(rng.integers(0, 16, (64, 128)), rng.integers(0, 16, (4, 64)), scales)

    def refusal(id: str, settings: dict[str, Any], given: dict[str, Array], code: str) -> Refusal:
        return Refusal(f"ct_packed-{id}", settings, given, code)

    for bits in (1, 9, 16):
        yield refusal(f"bits-{bits}", _weights(num_bits=bits), tensors, "unsupported-bits")
    yield refusal("bits-text", _weights(num_bits="4"), tensors, "bad-config-value")
    yield refusal("group-size-0", _weights(group_size=0), tensors, "bad-config-value")
    yield refusal("group-size-contradicted", _weights(group_size=64), tensors, "bad-shape")
    yield refusal("group-size-not-said", _weights(group_size=None), tensors, "bad-config-value")
    yield refusal("strategy-block", _weights(strategy="block"), tensors, "unsupported-layout")
    yield refusal("symmetric-text", _weights(symmetric="no"), tensors, "bad-config-value")
    yield refusal("type-float", _weights(type="float"), tensors, "unsupported-layout")
    for format in ("marlin-24", "never-heard-of"):
        yield refusal(format, PLAIN | {"format": format}, tensors, "unsupported-layout")
    yield refusal(
        "transformed", PLAIN | {"transform_config": {"config_groups": {"u": {}}}}, tensors, "unsupported-layout"
    )
    yield refusal("sparse", PLAIN | {"sparsity_config": {"format": "sparse-bitmask"}}, tensors, "unsupported-layout")
    yield refusal("no-groups", PLAIN | {"config_groups": {}}, tensors, "bad-config-value")
    for missing in ("weight_packed", "weight_scale", "weight_zero_point"):
        yield refusal(f"no-{missing}", PLAIN, without(tensors, missing), "missing-tensor")
    # One scale an output says nothing of the inputs.
    one = pack(rng.integers(0, 16, (64, 128)), rng.integers(0, 16, (1, 64)), Array("float16", scales.bits[:1]))
    yield refusal("channel-without-a-shape", config(4, -1), without(one, "weight_shape"), "missing-tensor")
    yield refusal("actorder-without-a-map", _weights(actorder="group"), tensors, "missing-tensor")
    far = tensors | {"weight_g_idx": Array.of(np.arange(128, dtype=np.int32) // 16)}
    yield refusal("map-out-of-range", _weights(actorder="group"), far, "group-index-out-of-range")
    below = tensors | {"weight_g_idx": Array.of(np.arange(128, dtype=np.int32) // 32 - 2)}
    yield refusal("map-below-minus-one", _weights(actorder="group"), _negative(below), "group-index-out-of-range")
    for label, pattern in (("nan", 0x7E00), ("infinity", 0x7C00), ("minus-infinity", 0xFC00)):
        broken = tensors | {"weight_scale": changed(tensors["weight_scale"], (5, 2), pattern)}
        yield refusal(f"scale-{label}", PLAIN, broken, "non-finite-scales")
    turned = tensors | {"weight_scale": Array("float16", tensors["weight_scale"].bits.T.copy())}
    yield refusal("scales-turned", PLAIN, turned, "bad-shape")
    turned = tensors | {"weight_zero_point": Array("int32", tensors["weight_zero_point"].bits.T.copy())}
    yield refusal("zeros-turned", PLAIN, turned, "bad-shape")
    short = tensors | {"weight_packed": Array("int32", tensors["weight_packed"].bits[:, :-1].copy())}
    yield refusal("a-word-short", PLAIN, short, "bad-shape")
    lying = tensors | {"weight_shape": Array.of(np.array([64, 96], np.int64))}
    yield refusal("shape-contradicted", PLAIN, lying, "bad-shape")
    floats = tensors | {"weight_packed": Array.of(tensors["weight_packed"].bits.astype(np.float32))}
    yield refusal("words-float", PLAIN, floats, "bad-dtype")
    integers = tensors | {"weight_scale": Array.of(np.ones((64, 4), np.int32))}
    yield refusal("scales-integer", PLAIN, integers, "unsupported-dtype")
    yield refusal("g_idx-of-another", PLAIN, tensors | {"g_idx": far["weight_g_idx"]}, "unexpected-tensor")
    yield refusal("named-gptq", {"quant_method": "gptq", "bits": 4, "group_size": 32}, tensors, "missing-tensor")


def _negative(tensors: dict[str, Array]) -> dict[str, Array]:
    """Without a -1, which means that there is no map."""
    found = tensors["weight_g_idx"].bits.copy()
    found[found == -1] = 0
    return tensors | {"weight_g_idx": Array("int32", found)}
