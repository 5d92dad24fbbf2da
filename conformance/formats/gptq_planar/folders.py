"""Checkpoint folders of planar GPTQ: how the common ones are packed, and those that only it has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ..build import GROUP_SIZE, LAYER, MODULES, Build
from ..folder import Folder, Packed
from ..parts import Config
from .packing import BLOCKS, WIDTHS, config, config_of, group_size, pack, width

# GPTQModel began to write this years after its predecessor's last sidecar.
SIDECAR = "quantize_config.json"
LEGACY = {"bits": WIDTHS[0], "group_size": GROUP_SIZE, "desc_act": False, "sym": False, "format": "gptq_p"}


def drawn(rng: np.random.Generator, config: Config, out: int, in_features: int) -> dict[str, Array]:
    """Nothing for a module that no block of 32 divides, where the width has several planes."""
    bits, size = width(config), group_size(config, in_features)
    if bits in BLOCKS and (out % 32 or in_features % 32):
        return {}
    groups, limit = -(-in_features // size), 1 << bits
    scales = Array.of((rng.integers(1, 1 << 11, (groups, out)) * 2.0**-14).astype(np.float16))
    g_idx = np.arange(in_features) // size
    g_idx = rng.permutation(g_idx) if config.get("desc_act") else g_idx
    codes, zeros = rng.integers(0, limit, (out, in_features)), rng.integers(0, limit, (groups, out))
    return pack(codes, zeros, scales, g_idx, bits=bits)


def leaving_out(left_out: list[str], packed: list[str]) -> dict[str, Any]:
    return {"modules_in_block_to_quantize": [packed]}


def folders() -> Iterator[Folder]:
    build = Build("gptq_planar", "act-order", config(WIDTHS[0], GROUP_SIZE), drawn)
    build.settings["desc_act"] = True
    for name, shape in MODULES.items():
        build.pack(LAYER + name, *shape)
    yield build.folder()
    build = Build("gptq_planar", "mixed-widths", config(WIDTHS[0], GROUP_SIZE), drawn)
    build.settings["dynamic"] = {
        r"+:.*\.down_proj$": {"bits": 7},
        r"+:.*\.gate_proj$": {"bits": 3, "group_size": 16},
        r"+:.*\.k_proj$": {"bits": 4, "desc_act": True},
        r"-:.*\.o_proj$": {},
        r"+:.*\.v_proj$": {"bits": 6, "group_size": -1},
    }
    for name, shape in MODULES.items():
        own = config_of(build.settings, LAYER + name)
        build.packed[LAYER + name] = Packed(own, drawn(build.rng, own, *shape))
    build.unpack(f"{LAYER}self_attn.o_proj")
    yield build.folder(flags=frozenset({"mixed-bits", "dynamic", "bits-3", "bits-4", "bits-6", "bits-7"}))
    build = Build("gptq_planar", "named-gptq_v2", config(WIDTHS[0], GROUP_SIZE), drawn)
    build.settings["checkpoint_format"] = "gptq_v2"
    yield build.folder(code="unsupported-bits")
