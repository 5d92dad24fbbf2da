"""Checkpoint folders of quanto's bytes: how the common ones are packed, and those that only they have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ..build import LAYER, Build
from ..folder import Folder
from ..parts import Config
from .packing import MAP, ZERO, described, pack

SIDECAR = ""
LEGACY: dict[str, Any] = {}


def drawn(rng: np.random.Generator, config: Config, out: int, in_features: int) -> dict[str, Array]:
    scales = Array.of((rng.integers(1, 1 << 11, (1, out)) * 2.0**-14).astype(np.float16))
    return pack(rng.integers(0, 256, (out, in_features)), np.full((1, out), ZERO), scales)


def leaving_out(left_out: list[str], packed: list[str]) -> dict[str, Any]:
    return {"modules_to_not_convert": left_out}


def folders() -> Iterator[Folder]:
    one = {"weights": "qint8", "activations": "none"}

    def by_map(id: str, code: str | None = None, **changes: dict[str, str] | None) -> Folder:
        build = Build("quanto_int8", id, described(), drawn)
        for name in build.packed:
            build.stored_besides |= {f"{name}.{leaf}": build.floats() for leaf in ("input_scale", "output_scale")}
        said = dict.fromkeys(build.packed, one) | {f"{LAYER}mlp.{name}": value for name, value in changes.items()}
        kept = {name: value for name, value in said.items() if value is not None}
        return build.folder(json={"config.json": build.config, MAP: kept}, code=code)

    yield by_map("qmap-only")
    yield by_map("int4-in-one-module", "config-contradiction", up_proj=one | {"weights": "qint4"})
    yield by_map("not-in-the-map", "bad-config-value", up_proj=None)
