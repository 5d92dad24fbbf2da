"""Checkpoint folders of torchao's MX and NVFP4: how the common ones are packed, and those that only they have."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ..build import GROUP_SIZE, LAYER, Build
from ..folder import Folder
from ..fp8.grid import LEGAL
from ..nvfp4.grid import USUAL
from ..parts import Config
from ..torchao_int8.packing import described, said
from .packing import FOURS, MXFP4, MXFP8, WHOLE, config, entry, group_size, kind_of, stored

SIDECAR = ""
LEGACY: dict[str, Any] = {}


def drawn(rng: np.random.Generator, config: Config, out: int, in_features: int) -> dict[str, Array]:
    kind, shape = kind_of(config), (out, in_features // group_size(config, in_features))
    codes = LEGAL[rng.integers(0, len(LEGAL), (out, in_features))] if kind == MXFP8 else None
    codes = rng.integers(0, 16, (out, in_features)) if codes is None else codes
    whole = float(0.0004 + rng.random() * 1e-4) if "per_tensor_scale" in said(config)["_tensor_data_names"] else None
    if kind == FOURS:
        return stored(config, codes, USUAL[rng.integers(0x28, 0x60, shape)], whole)
    return stored(config, codes, rng.integers(112, 118, shape) if kind == MXFP8 else rng.integers(118, 124, shape))


def leaving_out(left_out: list[str], packed: list[str]) -> dict[str, Any]:
    return {"modules_to_not_convert": left_out}


def folders() -> Iterator[Folder]:
    up, down = f"{LAYER}mlp.up_proj", f"{LAYER}mlp.down_proj"

    def build(id: str) -> Build:
        return Build("torchao_mx", id, config(4, GROUP_SIZE), drawn)

    mixed = build("all-kinds")
    mixed.pack(up, 96, 64, **described(entry(FOURS, whole=True)))
    mixed.pack(down, 64, 96, **described(entry(MXFP8, swizzled=False)))
    yield mixed.folder()
    yield Build("torchao_mx", "nvfp4", described(entry(FOURS, whole=True)), drawn).folder()
    lost = Build("torchao_mx", "scale-of-the-matrix-lost", described(entry(FOURS, whole=True)), drawn)
    del lost.packed[up].tensors[WHOLE]
    yield lost.folder(code="missing-tensor")
    for id, own, code in (
        ("labelled-nvfp4", entry(FOURS), "bad-dtype"),
        ("labelled-float8", entry(MXFP4) | {"_type": "Float8Tensor"}, "bad-config-value"),
        ("of-six-bits", entry(MXFP4, elem_dtype="fp6_e3m2"), "unsupported-layout"),
    ):
        yield build(id).folder(said={f"{up}.weight": json.dumps(own)}, code=code)
