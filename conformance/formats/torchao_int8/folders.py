"""Checkpoint folders of torchao's bytes: how the common ones are packed, and those that only they have."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.safetensors_file import write_safetensors
from ..build import LAYER, Build
from ..folder import Folder
from ..parts import Config
from .packing import BYTES, NARROW, block_of, described, entry, pack, said

SIDECAR = ""
LEGACY: dict[str, Any] = {}
_UP = f"{LAYER}mlp.up_proj"


def drawn(rng: np.random.Generator, config: Config, out: int, in_features: int) -> dict[str, Array]:
    groups = in_features // block_of(config)[1]
    scales = Array.of((rng.integers(1, 1 << 11, (groups, out)) * 2.0**-14).astype(np.float32))
    codes, zeros = rng.integers(0, 256, (out, in_features)), rng.integers(0, 256, (groups, out))
    return pack(codes, zeros, scales, without="zero_point" not in said(config)["_tensor_data_names"])


def leaving_out(left_out: list[str], packed: list[str]) -> dict[str, Any]:
    return {"modules_to_not_convert": left_out}


def folders() -> Iterator[Folder]:
    own = entry(BYTES, (1, 32), "float16")
    plain = described(own)

    def build(id: str) -> Build:
        return Build("torchao_int8", id, plain, drawn)

    both = build("both-classes")
    both.pack(_UP, 96, 64, **described(entry(NARROW, (1, 64), "float16")))
    yield both.folder()
    too = build("plain-tensors-too")
    yield too.folder(said={name: json.dumps({"_type": "Tensor"}) for name in too.plain})
    lost = build("header-lost")
    whole = write_safetensors(lost.stored(), {"format": "pt"})
    yield lost.folder(shards={}, raw={"model.safetensors": whole}, code="bad-config-value")
    differ = build("headers-differ").sharded(lambda name: "mlp" in name, code="config-contradiction")
    metadata = differ.metadata()
    first, second = (write_safetensors(tensors, metadata) for tensors in differ.shards.values())
    others = metadata | {f"{_UP}.weight": json.dumps(entry(BYTES, (1, 64), "float16"))}
    names = list(differ.shards)
    second = write_safetensors(differ.shards[names[1]], others)
    differ.raw, differ.shards = dict(zip(names, (first, second), strict=True)), {}
    yield differ
    yield build("described-as-dense").folder(
        said={f"{_UP}.weight": json.dumps({"_type": "Tensor"})}, code="config-contradiction"
    )
    biased = build("packed-bias")
    parts = pack(np.full((1, 64), 130), np.full((1, 1), 128), Array.of(np.ones((1, 1), np.float32)))
    name = f"{LAYER}self_attn.q_proj"
    biased.stored_besides |= {f"{name}._bias{leaf.removeprefix('_weight')}": array for leaf, array in parts.items()}
    yield biased.folder(said={f"{name}.bias": json.dumps(own)}, code="unsupported-layout")
    tiles = own | {"_type": "Int4TilePackedTo4dTensor"}
    yield build("tile-packed").folder(said={f"{_UP}.weight": json.dumps(tiles)}, code="unsupported-layout")
