"""Checkpoint folders of AQLM: how the common ones are packed, and those that only they have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ..build import LAYER, Build
from ..folder import Folder, Packed
from ..parts import Config
from .packing import CODES, DEFAULTS, LEFT_OUT, config, laid, said

SIDECAR = ""
LEGACY: dict[str, Any] = {}


def drawn(rng: np.random.Generator, config: Config, out: int, in_features: int) -> dict[str, Array]:
    bits, books, (rows, columns) = said(config)
    codes = rng.integers(0, 1 << bits, (out // rows, in_features // columns, books))
    tables = Array.of(
        (rng.integers(-(1 << 10), 1 << 10, (books, 1 << bits, rows, columns)) * 2.0**-10).astype(np.float16)
    )
    scales = Array.of((rng.integers(1, 1 << 11, out // rows) * 2.0**-14).astype(np.float16))
    return laid(codes, tables, scales, bits)


def leaving_out(left_out: list[str], packed: list[str]) -> dict[str, Any]:
    """Names of weights, not of modules."""
    return {LEFT_OUT: [f"{name}.weight" for name in left_out]}


def folders() -> Iterator[Folder]:
    yield Build("aqlm", "two-codebooks", config(8, books=2), drawn).folder()
    yield Build("aqlm", "blocks-of-rows", config(4, books=2, block=(4, 8)), drawn).folder()
    bare = {"quant_method": "aqlm"} | {key: value for key, value in config(8).items() if value != DEFAULTS.get(key)}
    yield Build("aqlm", "defaults", {key: value for key, value in bare.items() if key != LEFT_OUT}, drawn).folder()
    # aqlm turns the codes of a model that a CPU runs, and a model may be saved after that.
    build = Build("aqlm", "saved-after-a-run", config(8), drawn)
    for name, packed in build.packed.items():
        turned = np.ascontiguousarray(packed.tensors[CODES].bits.swapaxes(0, 1))
        build.packed[name] = Packed(build.settings, packed.tensors | {CODES: Array("int8", turned)})
    yield build.folder(code="bad-shape")
    build = Build("aqlm", "no-codebooks", config(8), drawn)
    del build.packed[LAYER + "mlp.up_proj"].tensors["codebooks"]
    yield build.folder(code="missing-tensor")
