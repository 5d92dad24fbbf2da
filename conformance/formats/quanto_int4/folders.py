"""Checkpoint folders of quanto's narrow codes: how the common ones are packed, and those that only they have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ..build import GROUP_SIZE, LAYER, MODULES, Build
from ..folder import Folder, Packed
from ..parts import Config
from ..quanto_int8.folders import drawn as drawn_bytes
from ..quanto_int8.packing import MAP
from ..quanto_int8.packing import described as bytes_described
from .packing import CODES, SCALES, SHIFTS, config, group_size, pack_floats, width

SIDECAR = ""
LEGACY: dict[str, Any] = {}


def drawn(rng: np.random.Generator, config: Config, out: int, in_features: int) -> dict[str, Array]:
    """In groups as quanto's own layers choose them."""
    bits, size = width(config), group_size(config, in_features)
    groups = out * in_features // size
    scales, shifts = (Array.of((rng.integers(1, 1 << 11, groups) * 2.0**-p).astype(np.float16)) for p in (14, 11))
    return pack_floats(rng.integers(0, 1 << bits, (out, in_features)), shifts, scales, bits=bits)


def leaving_out(left_out: list[str], packed: list[str]) -> dict[str, Any]:
    return {"modules_to_not_convert": left_out}


def folders() -> Iterator[Folder]:
    four = {"weights": "qint4", "activations": "none"}
    up = f"{LAYER}mlp.up_proj"

    def build(id: str, model: str = "llama") -> Build:
        found = Build("quanto_int4", id, config(4, GROUP_SIZE), drawn, model)
        for name in found.packed:
            found.stored_besides |= {f"{name}.{leaf}": found.floats() for leaf in ("input_scale", "output_scale")}
        return found

    def by_map(build: Build, code: str | None = None, **changes: Any) -> Folder:
        said = dict.fromkeys(build.packed, four) | {f"{LAYER}mlp.{name}": own for name, own in changes.items()}
        return build.folder(json={"config.json": build.config, MAP: said}, code=code)

    yield by_map(build("qmap-only"))
    mixed = build("three-types")
    two, eight = ({"weights": name, "activations": "none"} for name in ("qint2", "qint8"))
    mixed.pack(up, *MODULES["mlp.up_proj"], weights="qint2")
    gate = bytes_described()
    mixed.packed[f"{LAYER}mlp.gate_proj"] = Packed(gate, drawn_bytes(mixed.rng, gate, *MODULES["mlp.gate_proj"]))
    yield by_map(mixed, up_proj=two, gate_proj=eight)
    # Two bits are as many bytes of half as many groups of four, which make no layer of this model.
    yield by_map(build("labelled-2-bits"), "bad-shape", up_proj=two)
    yield by_map(build("labelled-8-bits"), "config-contradiction", up_proj=eight)
    short = build("a-group-short")
    tensors = short.packed[up].tensors
    for name, array in tensors.items():
        tensors[name] = Array(array.dtype, array.bits[: -2 if name in (SCALES, SHIFTS) else -1])
    assert CODES in tensors
    yield by_map(short, "bad-shape")
    no_model = build("of-no-model")
    no_model.config["model_type"] = "no-such-model"
    yield by_map(no_model, "unsupported-layout")
