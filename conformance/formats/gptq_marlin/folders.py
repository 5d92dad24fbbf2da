"""Checkpoint folders of Marlin's tiles: how the common ones are packed, and those that only they have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ..build import GROUP_SIZE, Build
from ..folder import Folder
from ..parts import Config
from .packing import ZERO, awq, config, group_size, names_of, pack

SIDECAR = "quantize_config.json"
LEGACY = {"bits": 4, "group_size": GROUP_SIZE, "desc_act": False, "sym": True, "is_marlin_format": True}


def drawn(rng: np.random.Generator, config: Config, out: int, in_features: int) -> dict[str, Array]:
    """Nothing for a module that is no whole tiles, which every producer leaves as it is."""
    if out % 64 or in_features % 16:
        return {}
    groups = in_features // group_size(config, in_features)
    scales = Array.of((rng.integers(1, 1 << 11, (groups, out)) * 2.0**-14).astype(np.float16))
    codes = rng.integers(0, 16, (out, in_features))
    return pack(codes, np.full((groups, out), ZERO), scales, named=names_of(config))


def leaving_out(left_out: list[str], packed: list[str]) -> dict[str, Any]:
    return {"modules_in_block_to_quantize": [packed]}


def folders() -> Iterator[Folder]:
    yield Build("gptq_marlin", "awq", awq(GROUP_SIZE), drawn).folder()
    build = Build("gptq_marlin", "labelled", config(4, GROUP_SIZE), drawn)
    del build.settings["is_marlin_format"]
    build.settings["checkpoint_format"] = "marlin"
    yield build.folder()
    build = Build("gptq_marlin", "named-gptq", config(4, GROUP_SIZE), drawn)
    del build.settings["is_marlin_format"]
    yield build.folder(code="missing-tensor")
    build = Build("gptq_marlin", "named-gemm", awq(GROUP_SIZE), drawn)
    build.settings["version"] = "gemm"
    yield build.folder(code="config-contradiction")
