"""Checkpoint folders of VPTQ: how the common ones are packed, and those that only they have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ..build import LAYER, MODULES, Build
from ..folder import Folder, Packed
from ..parts import Config
from .packing import LAYERS, METHOD, ORDER, SHARED, Kind, alone, config, laid, said, settings

SIDECAR = ""
LEGACY: dict[str, Any] = {}


def drawn(rng: np.random.Generator, config: Config, out: int, in_features: int) -> dict[str, Array]:
    kind = said(config)
    group, rows = kind.group(in_features), -(-out // kind.vector)
    outliers, tall, entries = kind.few

    def floats(*shape: int) -> Array:
        return Array.of((rng.integers(-(1 << 10), 1 << 10, shape) * 2.0**-12).astype(np.float16))

    def codes(bits: int) -> np.ndarray:
        return rng.integers(0, 1 << bits, (kind.books, rows, group))

    return laid(
        kind,
        codes(kind.bits),
        floats(kind.books, 1 << kind.bits, kind.vector),
        residuals=(codes(kind.more), floats(kind.books, 1 << kind.more, kind.vector)) if kind.more else None,
        outliers=(rng.integers(0, entries, (-(-out // tall), outliers)), floats(entries, tall)) if outliers else None,
        perm=rng.permutation(in_features) if kind.perm else None,
        norm=(floats(in_features), floats(in_features)) if kind.norm else None,
    )


def leaving_out(left_out: list[str], packed: list[str]) -> dict[str, Any]:
    return {"modules_to_not_convert": left_out}


def folders() -> Iterator[Folder]:
    yield Build("vptq", "residuals", config(8, more=4), drawn).folder()
    yield Build("vptq", "outliers", config(6, vector=4, few=(8, 4, 20)), drawn).folder()
    yield by_names().folder()
    build = by_names("not-in-the-config")
    del build.settings[LAYERS][f"{LAYER}mlp.up_proj"]
    yield build.folder(code="bad-config-value")
    build = Build("vptq", "an-input-twice", config(8), drawn)
    tensors = build.packed[f"{LAYER}mlp.up_proj"].tensors
    twice = tensors[ORDER].bits.copy()
    twice[3] = twice[4]
    tensors[ORDER] = Array.of(twice)
    yield build.folder(code="group-index-out-of-range")
    build = Build("vptq", "no-centroids", config(8), drawn)
    del build.packed[f"{LAYER}mlp.up_proj"].tensors["centroids.weight"]
    yield build.folder(code="missing-tensor")


def by_names(id: str = "by-names") -> Build:
    """As VPTQ writes it: all sizes of each module by its whole name; one name outranks what its last part says."""
    build = Build("vptq", id, config(8), drawn)
    layers = {}
    for number, (name, (out, inputs)) in enumerate(MODULES.items()):
        kind = Kind((8, 6, 5)[number % 3], number % 3, vector=(8, 6, 5)[number % 3], perm=number % 2 == 0)
        own = settings(kind, out_features=out, in_features=inputs, group_size=inputs)
        layers[LAYER + name] = own
        build.packed[LAYER + name] = Packed(alone(own, LAYER + name), drawn(build.rng, alone(own), out, inputs))
    build.settings = {"quant_method": METHOD, LAYERS: layers, SHARED: {"q_proj": settings(Kind(3))}}
    return build
