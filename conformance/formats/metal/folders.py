"""Checkpoint folders of metal: how the common ones are packed, and those that only it has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ..build import GROUP_SIZE, LAYER, Build
from ..folder import Folder
from ..parts import Config
from .packing import config, group_size, pack, width

SIDECAR = ""
LEGACY: dict[str, Any] = {}


def drawn(rng: np.random.Generator, config: Config, out: int, in_features: int) -> dict[str, Array]:
    bits, groups = int(width(config)), in_features // group_size(config, in_features)
    scales = Array.of((rng.integers(1, 1 << 11, (groups, out)) * 2.0**-14).astype(np.float16))
    codes, zeros = rng.integers(0, 1 << bits, (out, in_features)), rng.integers(0, 1 << bits, (groups, out))
    return pack(codes, zeros, scales, bits=bits)


def leaving_out(left_out: list[str], packed: list[str]) -> dict[str, Any]:
    return {"modules_to_not_convert": left_out}


def folders() -> Iterator[Folder]:
    yield Build("metal", "8-bits", config(8, GROUP_SIZE), drawn).folder()
    build = Build("metal", "biases-of-mlx", config(4, GROUP_SIZE), drawn)
    tensors = build.packed[LAYER + "mlp.up_proj"].tensors
    tensors["biases"] = tensors.pop("qbiases")
    yield build.folder(code="missing-tensor")
    build = Build("metal", "no-scales", config(4, GROUP_SIZE), drawn)
    del build.packed[LAYER + "mlp.up_proj"].tensors["scales"]
    yield build.folder(code="missing-tensor")
