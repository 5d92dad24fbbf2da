"""Checkpoint folders of AWQ gemv: how the common ones are packed, and those that only it has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ..build import GROUP_SIZE, LAYER, Build
from ..folder import Folder
from ..parts import Config
from .packing import config, group_size, pack

SIDECAR = "quant_config.json"
LEGACY = {"w_bit": 4, "q_group_size": GROUP_SIZE, "version": "GEMV", "zero_point": True}


def drawn(rng: np.random.Generator, config: Config, out: int, in_features: int) -> dict[str, Array]:
    groups = in_features // group_size(config, in_features)
    scales = Array.of((rng.integers(1, 1 << 11, (groups, out)) * 2.0**-14).astype(np.float16))
    return pack(rng.integers(0, 16, (out, in_features)), rng.integers(0, 16, (groups, out)), scales)


def leaving_out(left_out: list[str], packed: list[str]) -> dict[str, Any]:
    return {"modules_to_not_convert": left_out}


def folders() -> Iterator[Folder]:
    build = Build("awq_gemv", "named-gemm", config(4, GROUP_SIZE), drawn)
    build.settings["version"] = "gemm"
    yield build.folder(code="config-contradiction")
    build = Build("awq_gemv", "scaled-activation", config(4, GROUP_SIZE), drawn)
    build.stored_besides[LAYER + "mlp.act.scales"] = build.floats(96)
    yield build.folder(code="unsupported-layout")
