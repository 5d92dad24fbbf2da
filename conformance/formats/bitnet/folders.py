"""Checkpoint folders of BitNet: how the common ones are packed, and those that only it has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ..build import Build
from ..folder import Folder, Packed
from ..parts import Config
from .packing import CODES, MODE, MULTIPLIED, NORM, ZERO, described, pack, parts

SIDECAR = ""
LEGACY: dict[str, Any] = {}


def drawn(rng: np.random.Generator, config: Config, out: int, in_features: int) -> dict[str, Array]:
    codes = rng.integers(0, 3, (out, in_features))
    return pack(codes, codes, Array.of((rng.integers(1, 1 << 11, 1) * 2.0**-14).astype(np.float16)))


def leaving_out(left_out: list[str], packed: list[str]) -> dict[str, Any]:
    return {"modules_to_not_convert": left_out}


def folders() -> Iterator[Folder]:
    yield Build("bitnet", "autobitlinear", described(MULTIPLIED), drawn).folder()
    # As the first checkpoints have it.
    yield Build("bitnet", "no-class", {"quant_method": "bitnet", "modules_to_not_convert": None}, drawn).folder()
    # transformers loads these, and multiplies.
    unpacked = Build("bitnet", "unpacked", described(MULTIPLIED), drawn)
    for name, packed in unpacked.packed.items():
        codes = parts(unpacked.settings, packed.tensors).q - ZERO
        unpacked.packed[name] = Packed(unpacked.settings, packed.tensors | {CODES: Array.of(codes.astype(np.float16))})
    yield unpacked.folder(code="bad-dtype")
    online = Build("bitnet", "online", described(MULTIPLIED) | {MODE: "online"}, drawn)
    for name in list(online.packed):
        online.unpack(name)
    yield online.folder(code="unsupported-layout")
    normed = Build("bitnet", "rms-norm", described() | {NORM: True}, drawn)
    for name, packed in normed.packed.items():
        normed.stored_besides[f"{name}.rms_norm.weight"] = normed.floats(packed.tensors["weight"].shape[1])
    yield normed.folder(code="unsupported-layout")
