"""Modules of ``pack-quantized`` that are stored in two ways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ...bits.array import Array
from ..dialects import compressed_tensors as dialect
from ..module import Spelling
from ..parts import Config, Tensors
from .addresses import OLD
from .packing import FORMAT, WIDTHS, pack


def disputed(flags: frozenset[str]) -> bool:
    return False


def settled(config: Config, tensors: Tensors, upstream: Mapping[str, Array]) -> Array:
    raise ValueError("no vector of this format is disputed")


def spellings() -> Iterator[Spelling]:
    """Padded words by their number, and where that does not tell by the release; a map of -1; old spellings."""
    for bits in WIDTHS:
        suffix = "" if bits == WIDTHS[0] else f"-{bits}bit"
        for id, settings, given, plain_settings, plain in _of_width(bits):
            yield Spelling(f"ct_packed-{id}{suffix}", f"ct_packed-{id}", settings, given, plain_settings, plain)


def _of_width(bits: int) -> Iterator[tuple[str, dict[str, Any], dict[str, Array], dict[str, Any], dict[str, Array]]]:
    rng = np.random.default_rng(20261125 + bits)

    def numbers(out: int, inputs: int, groups: int) -> tuple[np.ndarray, np.ndarray, Array]:
        scales = Array.of((rng.integers(1, 1 << 11, (groups, out)) * 2.0**-14).astype(np.float16))
        return rng.integers(0, 1 << bits, (out, inputs)), rng.integers(0, 1 << bits, (groups, out)), scales

    plain_settings = dialect.config(FORMAT, bits, 32)
    given = numbers(64, 128, 4)
    plain = pack(*given, bits=bits)
    if 32 % bits:
        yield "padded-words", plain_settings, pack(*given, bits=bits, padded=True), plain_settings, plain
        # 72 fields of 5 bits are 12 words either way.
        few = numbers(72, 72, 1)
        channel, old = dialect.config(FORMAT, bits, -1), dialect.config(FORMAT, bits, -1, release=OLD)
        yield "release-before-0.18", old, pack(*few, bits=bits, padded=True), channel, pack(*few, bits=bits)
    minus = plain | {"weight_g_idx": Array.of(np.full(128, -1, np.int32))}
    mapped = dialect.config(FORMAT, bits, 32, actorder="group")
    yield "map-of-minus-one", mapped, minus, plain_settings, plain
    unshaped = {name: array for name, array in plain.items() if name != "weight_shape"}
    yield "no-weight_shape", plain_settings, unshaped, plain_settings, plain
    group = plain_settings["config_groups"]["group_0"]
    inner = plain_settings | {"format": "mixed-precision", "config_groups": {"x": group | {"format": FORMAT}}}
    yield "format-in-the-group", inner, plain, plain_settings, plain
    activations = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "token", "dynamic": True}
    w4a8 = plain_settings | {"config_groups": {"group_0": group | {"input_activations": activations}}}
    yield "activations-too", w4a8 | {"kv_cache_scheme": activations}, plain, plain_settings, plain
    weights = {key: value for key, value in group["weights"].items() if key not in ("strategy", "type")}
    bare = plain_settings | {"config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}}}
    yield "strategy-not-said", bare, plain, plain_settings, plain
    static = dialect.config(FORMAT, bits, 32, actorder="weight")
    yield "actorder-weight", static, plain, plain_settings, plain
