"""Checkpoint folders of ``int-quantized``: how the common ones are packed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ..build import GROUP_SIZE, Build
from ..dialects import compressed_tensors as dialect
from ..folder import Folder
from ..parts import Config
from .packing import FORMAT, pack

SIDECAR = ""
LEGACY: dict[str, Any] = {}


def drawn(rng: np.random.Generator, config: Config, out: int, in_features: int) -> dict[str, Array]:
    given = dialect.arguments(config)
    groups = 1 if given.size == -1 else in_features // given.size
    scales = Array.of((rng.integers(1, 1 << 11, (groups, out)) * 2.0**-14).astype(np.float16))
    codes, zeros = rng.integers(0, 256, (out, in_features)), rng.integers(0, 256, (groups, out))
    return pack(codes, zeros, scales, symmetric=given.symmetric)


def leaving_out(left_out: list[str], packed: list[str]) -> dict[str, Any]:
    return {"ignore": ["lm_head", *(f"re:.*{name}" for name in left_out)]}


def folders() -> Iterator[Folder]:
    settings = dialect.config(FORMAT, 8, -1, symmetric=True)
    activations = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "token", "dynamic": True}
    group = settings["config_groups"]["group_0"] | {"input_activations": activations}
    yield Build("ct_int", "w8a8", settings | {"config_groups": {"group_0": group}}, drawn).folder()
    yield Build("ct_int", "naive", dialect.config("naive-quantized", 8, GROUP_SIZE), drawn).folder()
