"""Checkpoint folders of LLM.int8: how the common ones are packed, and those that only it has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ..build import LAYER, Build
from ..dialects import bitsandbytes as dialect
from ..folder import Folder
from ..parts import Config
from .packing import pack

SIDECAR = ""
LEGACY: dict[str, Any] = {}


def drawn(rng: np.random.Generator, config: Config, out: int, in_features: int) -> dict[str, Array]:
    codes = rng.integers(-127, 128, (out, in_features))
    return pack(codes, codes, Array.of((rng.integers(1, 1 << 11, out) * 2.0**-12).astype(np.float32)))


def leaving_out(left_out: list[str], packed: list[str]) -> dict[str, Any]:
    return {"llm_int8_skip_modules": left_out}


def folders() -> Iterator[Folder]:
    old = {key: value for key, value in dialect.config("int8").items() if key != "quant_method"}
    yield Build("bnb_int8", "no-quant_method", old, drawn).folder()
    both = dialect.config("int8", _load_in_4bit=False, _load_in_8bit=True)
    yield Build("bnb_int8", "both-spellings", both, drawn).folder()
    build = Build("bnb_int8", "tiled-for-a-gpu", dialect.config("int8"), drawn)
    # 2, as bitsandbytes stored rows for one kernel until 0.45.
    build.packed[LAYER + "mlp.up_proj"].tensors["weight_format"] = Array.of(np.array(2, np.uint8))
    yield build.folder(code="unsupported-layout")
