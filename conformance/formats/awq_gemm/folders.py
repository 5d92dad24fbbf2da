"""Checkpoint folders of AWQ: how the common ones are packed, and those that only AWQ has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ..build import GROUP_SIZE, Build
from ..folder import Folder
from ..parts import Config
from .packing import config, group_size

SIDECAR = "quant_config.json"
LEGACY = {"w_bit": 4, "q_group_size": GROUP_SIZE, "version": "GEMM", "zero_point": True}


def drawn(rng: np.random.Generator, config: Config, out: int, in_features: int) -> dict[str, Array]:
    groups = -(-in_features // group_size(config, in_features))
    return {
        "qweight": Array.of(rng.integers(-(2**31), 2**31, (in_features, out // 8), dtype=np.int32)),
        "qzeros": Array.of(rng.integers(-(2**31), 2**31, (groups, out // 8), dtype=np.int32)),
        "scales": Array.of((rng.integers(1, 1 << 11, (groups, out)) * 2.0**-14).astype(np.float16)),
    }


def leaving_out(left_out: list[str], packed: list[str]) -> dict[str, Any]:
    return {"modules_to_not_convert": left_out}


def folders() -> Iterator[Folder]:
    build = Build("awq", "gemv", config(4, GROUP_SIZE), drawn)
    build.settings["version"] = "gemv"
    yield build.folder(code="config-contradiction")
