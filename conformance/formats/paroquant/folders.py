"""Checkpoint folders of ParoQuant: how the common ones are packed, and those that only it has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ..build import GROUP_SIZE, LAYER, MODULES, Build
from ..folder import Folder, Packed
from ..parts import Config
from .packing import PAIRS, SLUG, config, config_of, group_size, laid

SIDECAR = "quantize_config.json"
LEGACY = {"quant_method": SLUG, "group_size": GROUP_SIZE}
KROT = 2


def drawn(rng: np.random.Generator, config: Config, out: int, in_features: int) -> dict[str, Array]:
    size = group_size(config, in_features)
    groups, krot = in_features // size, config.get("krot") or KROT
    pairs = np.argsort(rng.random((krot, groups, size)), axis=2).reshape(krot, -1, 2)
    return laid(
        rng.integers(0, 16, (out, in_features)),
        rng.integers(0, 16, (groups, out)),
        Array.of((rng.integers(1, 1 << 11, (groups, out)) * 2.0**-14).astype(np.float16)),
        pairs,
        Array.of((rng.integers(-3000, 3000, (krot, in_features // 2)) / 1000).astype(np.float16)),
        Array.of((rng.integers(1 << 9, 1 << 11, in_features) * 2.0**-10).astype(np.float16)),
    )


def leaving_out(left_out: list[str], packed: list[str]) -> dict[str, Any]:
    return {"modules_to_not_convert": left_out}


def folders() -> Iterator[Folder]:
    bare = {"quant_method": SLUG, "group_size": GROUP_SIZE}
    yield Build(SLUG, "few-keys", bare, drawn).folder()
    build = Build(SLUG, "dynamic", config(4, GROUP_SIZE), drawn)
    build.settings["dynamic"] = {r"+:.*\.down_proj$": {"group_size": -1}, r"-:.*\.o_proj$": {}}
    for name, shape in MODULES.items():
        own = config_of(build.settings, LAYER + name)
        build.packed[LAYER + name] = Packed(own, drawn(build.rng, own, *shape))
    build.unpack(f"{LAYER}self_attn.o_proj")
    yield build.folder(flags=frozenset({"dynamic"}))
    build = Build(SLUG, "named-awq", config(4, GROUP_SIZE), drawn)
    build.settings |= {"quant_method": "awq", "version": "gemm"}
    yield build.folder(code="unexpected-tensor")
    build = Build(SLUG, "pairs-of-the-matrix", config(4, GROUP_SIZE), drawn)
    stored = build.packed[LAYER + "mlp.up_proj"].tensors[PAIRS]
    counted = stored.bits + np.arange(stored.shape[1], dtype=np.int16) // GROUP_SIZE * GROUP_SIZE
    build.packed[LAYER + "mlp.up_proj"].tensors[PAIRS] = Array.of(counted.astype(np.int16))
    yield build.folder(code="group-index-out-of-range")
