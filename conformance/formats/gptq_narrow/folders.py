"""Checkpoint folders in narrow words: how the common ones are packed, and those that only they have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ..build import GROUP_SIZE, LAYER, MODULES, Build
from ..folder import Folder, Packed
from ..gptq.packing import version
from ..parts import Config
from .packing import WIDTHS, config, config_of, group_size, pack, width

SIDECAR = "quantize_config.json"
LEGACY = {"bits": 4, "group_size": GROUP_SIZE, "desc_act": False, "sym": False, "pack_dtype": "int8"}


def drawn(rng: np.random.Generator, config: Config, out: int, in_features: int) -> dict[str, Array]:
    bits, size = width(config), group_size(config, in_features)
    groups, limit = -(-in_features // size), 1 << bits
    scales = Array.of((rng.integers(1, 1 << 11, (groups, out)) * 2.0**-14).astype(np.float16))
    g_idx = np.arange(in_features) // size
    g_idx = rng.permutation(g_idx) if config.get("desc_act") else g_idx
    codes, zeros = rng.integers(0, limit, (out, in_features)), rng.integers(0, limit, (groups, out))
    return pack(codes, zeros, scales, g_idx, bits=bits, word=config["pack_dtype"], version=version(config))


def leaving_out(left_out: list[str], packed: list[str]) -> dict[str, Any]:
    return {"modules_in_block_to_quantize": [packed]}


def folders() -> Iterator[Folder]:
    build = Build("gptq_narrow", "act-order", config(WIDTHS[0], GROUP_SIZE) | {"desc_act": True}, drawn)
    yield build.folder()
    build = Build("gptq_narrow", "int16-version-2", _int16() | {"checkpoint_format": "gptq_v2"}, drawn)
    yield build.folder(flags=frozenset({"gptq_v2", "words-16"}))
    build = Build("gptq_narrow", "mixed-widths", config(WIDTHS[0], GROUP_SIZE), drawn)
    build.settings["dynamic"] = {
        r"+:.*\.down_proj$": {"bits": 8},
        r"+:.*\.gate_proj$": {"bits": 2, "group_size": 16},
        r"+:.*\.k_proj$": {"desc_act": True},
        r"-:.*\.o_proj$": {},
    }
    for name, shape in MODULES.items():
        own = config_of(build.settings, LAYER + name)
        build.packed[LAYER + name] = Packed(own, drawn(build.rng, own, *shape))
    build.unpack(f"{LAYER}self_attn.o_proj")
    yield build.folder(flags=frozenset({"mixed-bits", "dynamic", "bits-2", "bits-8"}))
    build = Build("gptq_narrow", "named-int32", config(WIDTHS[0], GROUP_SIZE), drawn)
    build.settings["pack_dtype"] = "int32"
    yield build.folder(code="config-contradiction")
    build = Build("gptq_narrow", "named-int16", config(WIDTHS[0], GROUP_SIZE), drawn)
    build.settings["pack_dtype"] = "int16"
    yield build.folder(code="bad-dtype")


def _int16() -> dict[str, Any]:
    return config(WIDTHS[0], GROUP_SIZE, "int16")
