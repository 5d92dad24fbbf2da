"""Checkpoint folders of compressed-tensors: how the common ones are packed, and those that only it has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from .. import ct_int
from ..build import GROUP_SIZE, LAYER, MODULES, Build
from ..dialects import compressed_tensors as dialect
from ..folder import Folder, Packed
from ..parts import Config
from .packing import FORMAT, config, config_of, pack

SIDECAR = ""
LEGACY: dict[str, Any] = {}


def drawn(rng: np.random.Generator, config: Config, out: int, in_features: int) -> dict[str, Array]:
    given = dialect.arguments(config)
    groups = 1 if given.size == -1 else in_features // given.size
    limit = 1 << given.bits
    scales = Array.of((rng.integers(1, 1 << 11, (groups, out)) * 2.0**-14).astype(np.float16))
    g_idx = rng.permutation(np.arange(in_features) // given.size) if given.by_map else None
    codes, zeros = rng.integers(0, limit, (out, in_features)), rng.integers(0, limit, (groups, out))
    options: dict[str, Any] = {"bits": given.bits, "padded": given.padded, "symmetric": given.symmetric}
    return pack(codes, zeros, scales, g_idx, **options)


def leaving_out(left_out: list[str], packed: list[str]) -> dict[str, Any]:
    return {"ignore": ["lm_head", *(f"re:.*{name}" for name in left_out)]}


def folders() -> Iterator[Folder]:
    build = Build("ct_packed", "compression_config", config(4, GROUP_SIZE), drawn)
    yield build.folder(json={"config.json": build.config | {"compression_config": build.settings}})
    inner = build.config | {"compression_config": {"quantization_config": build.settings, "sparsity_config": {}}}
    build = Build("ct_packed", "compression_config-one-level-down", config(4, GROUP_SIZE), drawn)
    yield build.folder(json={"config.json": inner | {"compression_config": {"quantization_config": build.settings}}})
    build = Build("ct_packed", "old-release", dialect.config(FORMAT, 3, GROUP_SIZE, release="0.17.1"), drawn)
    yield build.folder(flags=frozenset({"bits-3", "padded-words"}))
    mapped = dialect.config(FORMAT, 4, GROUP_SIZE, release="0.17.1", actorder="group")
    yield Build("ct_packed", "act-order", mapped, drawn).folder(flags=frozenset({"act-order"}))
    yield _groups()
    build = Build("ct_packed", "named-after-awq", config(4, GROUP_SIZE), drawn)
    yield build.folder(name="Model-7B-AWQ-4bit")
    build = Build("ct_packed", "a-module-that-no-group-targets", config(4, GROUP_SIZE), drawn)
    build.settings["config_groups"] = {
        "group_0": build.settings["config_groups"]["group_0"] | {"targets": ["re:.*self_attn.*"]}
    }
    yield build.folder(code="config-contradiction")
    build = Build("ct_packed", "format-dense", config(4, GROUP_SIZE), drawn)
    build.settings["format"] = "dense"
    yield build.folder(code="not-quantized")


def _groups() -> Folder:
    """Names before patterns, patterns in the order of their text, classes last; two formats side by side."""
    build = Build("ct_packed", "several-groups", config(4, GROUP_SIZE), drawn)

    def group(form: str, bits: int, size: int, *targets: str, **changes: Any) -> dict[str, Any]:
        own = dialect.config(form, bits, size, **changes)["config_groups"]["group_0"]
        return own | {"targets": list(targets), "format": form}

    build.settings |= {
        "format": "mixed-precision",
        "config_groups": {
            "group_0": group(FORMAT, 4, GROUP_SIZE, "Linear"),
            "group_1": group(FORMAT, 3, 32, r"re:.*self_attn\.[qk]_proj$", symmetric=True),
            "group_2": group("int-quantized", 8, -1, r"re:.*mlp\..*", symmetric=True),
            "group_3": group(FORMAT, 6, -1, LAYER + "mlp.up_proj"),
            # Its text comes before that of group_1, which matches k_proj as well.
            "group_4": group(FORMAT, 8, 64, r"re:.*k_proj"),
        },
    }
    build.packed = {}
    for name, shape in MODULES.items():
        own = config_of(build.settings, LAYER + name)
        draw = drawn if dialect.named(own) == FORMAT else ct_int.drawn
        build.packed[LAYER + name] = Packed(own, draw(build.rng, own, *shape))
    return build.folder(flags=frozenset({"ct_int", "mixed-bits"}))
