"""Checkpoint folders of FP8 in parts: how the common ones are packed, and those that only they have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ..build import LAYER, Build
from ..folder import Folder
from ..fp8.grid import LEGAL
from ..parts import Config
from ..quanto_int8.packing import MAP
from ..torchao_int8.packing import described
from .packing import block_of, entry, method, quanto, stored

SIDECAR = ""
LEGACY: dict[str, Any] = {}


def drawn(rng: np.random.Generator, config: Config, out: int, in_features: int) -> dict[str, Array]:
    rows, columns = block_of(config, out, in_features)
    scales = Array.of((rng.integers(1, 1 << 10, (out // rows, in_features // columns)) * 2.0**-14).astype(np.float16))
    return stored(method(config), LEGAL[rng.integers(0, len(LEGAL), (out, in_features))], scales)


def leaving_out(left_out: list[str], packed: list[str]) -> dict[str, Any]:
    return {"modules_to_not_convert": left_out}


def folders() -> Iterator[Folder]:
    up = f"{LAYER}mlp.up_proj"
    one = {"weights": "qfloat8_e4m3fn", "activations": "none"}

    def by_map(id: str, code: str | None = None, **changes: dict[str, str]) -> Folder:
        build = Build("fp8_parts", id, quanto(), drawn)
        for name in build.packed:
            build.stored_besides |= {f"{name}.{leaf}": build.floats() for leaf in ("input_scale", "output_scale")}
        said = dict.fromkeys(build.packed, one) | {f"{LAYER}mlp.{name}": value for name, value in changes.items()}
        return build.folder(json={"config.json": build.config, MAP: said}, code=code)

    yield by_map("qmap-only")
    for kind in ("e5m2", "e4m3fnuz"):
        yield by_map(f"{kind}-in-one-module", "unsupported-layout", up_proj=one | {"weights": f"qfloat8_{kind}"})
    yield by_map("labelled-int8", "config-contradiction", up_proj=one | {"weights": "qint8"})
    whole = Build("fp8_parts", "torchao-tensor", described(entry([], "float16")), drawn)
    whole.pack(up, 96, 64, **described(entry([1, 32], "float16")))
    yield whole.folder()
    bytes_ = described(entry([1, 32], "float16") | {"_type": "Int8Tensor"})
    yield Build("fp8_parts", "torchao-labelled-int8", bytes_, drawn).folder(code="config-contradiction")
