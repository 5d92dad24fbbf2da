"""Checkpoint folders of bitsandbytes' 4 bits: how the common ones are packed, and those that only they have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ..build import LAYER, Build
from ..dialects import bitsandbytes as dialect
from ..folder import Folder, Packed
from ..parts import Config
from .packing import STEPS, pack, parts

SIDECAR = ""
LEGACY: dict[str, Any] = {}


def drawn(rng: np.random.Generator, config: Config, out: int, in_features: int, **options: Any) -> dict[str, Array]:
    codes = rng.integers(0, 16, (out, in_features))
    scales = Array.of((rng.integers(1, 1 << 11, -(-codes.size // 64)) * 2.0**-14).astype(np.float32))
    kind = str(config["bnb_4bit_quant_type"])
    return pack(codes, codes, scales, kind=kind, **({"dtype": "float16"} | options))


def leaving_out(left_out: list[str], packed: list[str]) -> dict[str, Any]:
    return {"llm_int8_skip_modules": left_out}


def folders() -> Iterator[Folder]:
    build = Build("bnb_4bit", "codes-stored-as-bfloat16", dialect.config("nf4"), drawn)
    for name, packed in build.packed.items():
        out, in_features = parts(build.settings, packed.tensors).shape
        own = drawn(build.rng, build.settings, out, in_features, storage="bfloat16")
        build.packed[name] = Packed(build.settings, own)
    yield build.folder()
    build = Build("bnb_4bit", "double", dialect.config("nf4", bnb_4bit_use_double_quant=True), drawn)
    for name, packed in build.packed.items():
        codes = build.rng.integers(0, 16, parts(build.settings, packed.tensors).shape)
        blocks = -(-codes.size // 64)
        bytes_ = Array.of(build.rng.integers(0, 256, blocks).astype(np.uint8))
        nested = STEPS, build.rng.random(1) + 0.5, 0.25
        build.packed[name] = Packed(build.settings, pack(codes, codes, bytes_, dtype="float16", nested=nested))
    yield build.folder()
    # What transformers wrote in 2023 names no method; later it wrote both spellings of a width.
    old = {key: value for key, value in dialect.config("fp4").items() if key != "quant_method"}
    yield Build("bnb_4bit", "no-quant_method", old, drawn).folder()
    both = dialect.config("nf4", _load_in_4bit=True, _load_in_8bit=False)
    yield Build("bnb_4bit", "both-spellings", both, drawn).folder()
    build = Build("bnb_4bit", "gptqmodel-s-names", dialect.config("nf4"), drawn)
    for name, packed in build.packed.items():
        stored = {leaf.replace("weight.", "weight_"): array for leaf, array in packed.tensors.items()}
        build.packed[name] = Packed(build.settings, packed.tensors, stored)
    yield build.folder(code="unsupported-layout")
    build = Build("bnb_4bit", "no-quant_state", dialect.config("nf4"), drawn)
    name = LAYER + "mlp.up_proj"
    del build.packed[name].tensors["weight.quant_state.bitsandbytes__nf4"]
    yield build.folder(code="missing-tensor")
