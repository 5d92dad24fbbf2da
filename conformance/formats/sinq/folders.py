"""Checkpoint folders of SINQ: how the common ones are packed, and those that only it has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.rounding import nearest
from ..build import GROUP_SIZE, LAYER, Build
from ..folder import BESIDE, MODULES, Folder
from ..parts import Config
from .packing import META, TAKEN, config, group_size, laid, said

SIDECAR = ""
LEGACY: dict[str, Any] = {}
_UP = f"{LAYER}mlp.up_proj"


def drawn(rng: np.random.Generator, config: Config, out: int, in_features: int) -> dict[str, Array]:
    own = said(config)
    bits, size = int(TAKEN.get(own["nbits"], own["nbits"])), group_size(config, in_features)
    groups = out * in_features // size
    scales = Array.of((rng.integers(1, 1 << 11, groups) * 2.0**-14).astype(np.float16))
    zeros = nearest(rng.integers(0, 1 << 8, groups) * 2.0**-8 * (1 << bits), "float16")
    columns = Array.of((rng.integers(1 << 9, 1 << 11, (1, in_features)) * 2.0**-10).astype(np.float16))
    return laid(rng.integers(0, 1 << bits, (out, in_features)), zeros, scales, columns, bits=bits, group=size)


def leaving_out(left_out: list[str], packed: list[str]) -> dict[str, Any]:
    return {"modules_to_not_convert": left_out}


def folders() -> Iterator[Folder]:
    plain = config(4, GROUP_SIZE)

    def build(id: str) -> Build:
        return Build("sinq", id, plain, drawn)

    # sinq's own programs write no settings into config.json; its patch of transformers writes these.
    alone = build("described-beside-alone")
    yield alone.folder(json={"config.json": alone.config})
    for id, own in (
        ("patched", {"sinq": True, "backend": "sinq", "quantization_method": "sinq", "sinq_version": "auto"}),
        ("a-method-called-asinq", {"quant_method": "sinq", "nbits": 4, "tiling_mode": "1D", "method": "asinq"}),
    ):
        made = build(id)
        yield made.folder(json={"config.json": made.config | {"quantization_config": own}})
    buffers = build("buffers-of-the-model")
    buffers.stored_besides |= {
        f"model.rotary_emb.{name}": buffers.floats(16, dtype="float32") for name in ("inv_freq", "original_inv_freq")
    }
    yield buffers.folder()
    lost = build("description-lost")
    yield lost.folder(
        json={"config.json": lost.config | {"quantization_config": plain}, BESIDE: {}}, code="bad-config-value"
    )
    short = build("not-described")
    others = {name: packed.config[MODULES][""] for name, packed in short.packed.items() if name != _UP}
    yield short.folder(
        json={"config.json": short.config | {"quantization_config": plain}, BESIDE: others}, code="bad-config-value"
    )
    other = build("described-otherwise")
    wrong = {name: packed.config[MODULES][""] for name, packed in other.packed.items()}
    wrong[_UP] = {META: wrong[_UP][META] | {"nbits": 2, "packing": "2bit_u8"}}
    yield other.folder(
        json={"config.json": other.config | {"quantization_config": plain}, BESIDE: wrong}, code="bad-shape"
    )
