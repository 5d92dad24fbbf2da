"""Checkpoint folders of QQQ: how the common ones are packed, and those that only it has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ..build import GROUP_SIZE, LAYER, MODULES, Build
from ..folder import Folder, Packed
from ..parts import Config
from .packing import config, config_of, group_size, pack

SIDECAR = "quantize_config.json"
LEGACY = {"quant_method": "qqq", "bits": 4, "group_size": GROUP_SIZE}


def drawn(rng: np.random.Generator, config: Config, out: int, in_features: int) -> dict[str, Array]:
    """Nothing for a module that is no whole tiles, which every producer leaves as it is."""
    size = group_size(config, in_features)
    if out % 64 or in_features % 16 or in_features % size:
        return {}
    scales = Array.of((rng.integers(1, 1 << 11, (1, out)) * 2.0**-18).astype(np.float32))
    groups = in_features // size
    grown = Array.of((rng.integers(1 << 8, 1 << 11, (groups, out)) * 2.0**-6).astype(np.float16))
    codes = rng.integers(0, 16, (out, in_features))
    return pack(codes, codes, scales, grown if groups > 1 else None)


def leaving_out(left_out: list[str], packed: list[str]) -> dict[str, Any]:
    return {"modules_in_block_to_quantize": [packed]}


def folders() -> Iterator[Folder]:
    yield Build("qqq", "one-group", config(4, -1), drawn).folder()
    old = {"quant_method": "qqq", "wbits": 4, "group_size": GROUP_SIZE}
    yield Build("qqq", "of-its-authors", old, drawn).folder()
    build = Build("qqq", "dynamic", config(4, GROUP_SIZE), drawn)
    build.settings["dynamic"] = {r"+:.*\.down_proj$": {"group_size": -1}, r"-:.*\.o_proj$": {}}
    for name, shape in MODULES.items():
        own = config_of(build.settings, LAYER + name)
        if tensors := drawn(build.rng, own, *shape):
            build.packed[LAYER + name] = Packed(own, tensors)
    build.unpack(f"{LAYER}self_attn.o_proj")
    yield build.folder(flags=frozenset({"dynamic"}))
    build = Build("qqq", "named-gptq", config(4, GROUP_SIZE), drawn)
    build.settings["quant_method"] = "gptq"
    yield build.folder(code="config-contradiction")
