"""Checkpoint folders of Gemma's integers: how the common ones are packed, and those that only they have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ..build import LAYER, MODULES, Build
from ..folder import Folder
from ..parts import Config
from .packing import BITS, RULES, config, config_of, pack, width_of

SIDECAR = ""
LEGACY: dict[str, Any] = {}


def drawn(rng: np.random.Generator, config: Config, out: int, in_features: int) -> dict[str, Array]:
    bits = width_of(config)
    codes = rng.integers(0, 1 << bits, (out, in_features))
    scales = Array.of((rng.integers(1, 1 << 11, (1, out)) * 2.0**-14).astype(np.float32))
    return pack(codes, codes, scales, bits=bits)


def leaving_out(left_out: list[str], packed: list[str]) -> dict[str, Any]:
    return {"modules_to_not_convert": left_out}


def _ruled(id: str, rules: dict[str, Any]) -> Build:
    build = Build("gemma_quant", id, config(4), drawn)
    build.settings |= {RULES: rules}
    for name, shape in MODULES.items():
        own = config_of(build.settings, LAYER + name)
        build.pack(LAYER + name, *shape, **{RULES: None, BITS: own[BITS]})
    return build


def folders() -> Iterator[Folder]:
    yield _ruled("widths", {r"mlp\.(up|gate)_proj$": {BITS: 2}, "self_attn": {BITS: 8}}).folder()
    # Both match each module: the second one further to the left.
    yield _ruled("leftmost-rule", {"proj": {BITS: 2}, r"layers\.0": {BITS: 8}}).folder()
    yield _ruled("first-of-two", {r"model\.layers": {BITS: 8}, "model": {BITS: 2}}).folder()
    clamped = Build("gemma_quant", "clamped", config(4), drawn)
    for name in clamped.packed:
        scale = Array.of(np.array(0.03125, np.float32))
        clamped.packed[name].tensors.update(input_activation_scale=scale, output_activation_scale=scale)
    yield clamped.folder()
    embedding = Build("gemma_quant", "embedding", config(4, quantize_embeddings=True), drawn)
    table = embedding.plain.pop("model.embed_tokens.weight")
    out, inputs = table.shape
    codes = embedding.rng.integers(0, 16, (out, inputs))
    scales = Array.of((embedding.rng.integers(1, 1 << 11, (1, out)) * 2.0**-14).astype(np.float32))
    embedding.pack("model.embed_tokens", out, inputs)
    embedding.packed["model.embed_tokens"].tensors.clear()
    embedding.packed["model.embed_tokens"].tensors.update(pack(codes, codes, scales, embedding=True))
    yield embedding.folder()
    broken = Build("gemma_quant", "rule-no-pattern", config(4), drawn)
    broken.settings |= {RULES: {"mlp(": {BITS: 8}}}
    yield broken.folder(code="bad-config-value")
