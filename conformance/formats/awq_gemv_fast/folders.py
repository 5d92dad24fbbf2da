"""Checkpoint folders of AWQ gemv_fast: how the common ones are packed, and those that only it has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ..build import GROUP_SIZE, Build
from ..folder import Folder
from ..offset import scaled_zeros
from ..parts import Config
from .packing import BLOCK, config, group_size, llm_awq, offsets_of, pack_offsets

SIDECAR = "quant_config.json"
LEGACY = {"w_bit": 4, "q_group_size": GROUP_SIZE, "version": "GEMV_FAST", "zero_point": True}


def drawn(rng: np.random.Generator, config: Config, out: int, in_features: int) -> dict[str, Array]:
    """Nothing for a module that no block divides, which every producer leaves as it is."""
    if in_features % BLOCK:
        return {}
    groups = in_features // group_size(config, in_features)
    scales = Array.of((rng.integers(1, 1 << 11, (groups, out)) * 2.0**-14).astype(np.float16))
    offsets = scaled_zeros(rng.integers(0, 16, (groups, out)), scales)
    return pack_offsets(rng.integers(0, 16, (out, in_features)), scales, offsets, offsets_of(config))


def leaving_out(left_out: list[str], packed: list[str]) -> dict[str, Any]:
    return {"modules_to_not_convert": left_out}


def folders() -> Iterator[Folder]:
    yield Build("awq_gemv_fast", "llm-awq", llm_awq(GROUP_SIZE), drawn).folder()
    build = Build("awq_gemv_fast", "named-gemm", config(4, GROUP_SIZE), drawn)
    build.settings["version"] = "gemm"
    yield build.folder(code="config-contradiction")
    build = Build("awq_gemv_fast", "named-gemv", config(4, GROUP_SIZE), drawn)
    build.settings["version"] = "gemv"
    yield build.folder(code="config-contradiction")
