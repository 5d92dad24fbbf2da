"""Checkpoint folders of Quark's integers: how the common ones are packed, and those that only Quark has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from .. import fp8, mxfp4
from ..build import GROUP_SIZE, LAYER, MODULES, Build
from ..dialects import quark as dialect
from ..folder import Folder, Packed
from ..parts import Config
from .packing import config, config_of, packed

SIDECAR = ""
LEGACY: dict[str, Any] = {}


def drawn(rng: np.random.Generator, config: Config, out: int, in_features: int) -> dict[str, Array]:
    given = dialect.arguments(config)
    groups, limit = 1 if given.size == -1 else in_features // given.size, 1 << given.bits
    scales = Array.of((rng.integers(1, 1 << 11, (groups, out)) * 2.0**-14).astype(np.float16))
    codes, zeros = rng.integers(0, limit, (out, in_features)), rng.integers(0, limit, (groups, out))
    return packed(config, codes, zeros, scales)


def leaving_out(left_out: list[str], packed: list[str]) -> dict[str, Any]:
    return {"exclude": ["lm_head", *(f"*{name}" for name in left_out)]}


def folders() -> Iterator[Folder]:
    settings = dialect.config(dialect.weight("int8", "channel"))
    layer = dialect.layer(dialect.weight("int8", "channel"), input_tensors=dialect.weight("int8", "tensor"))
    yield Build("quark_int", "w8a8", settings | {"global_quant_config": layer}, drawn).folder()
    yield _by_patterns()
    build = Build("quark_int", "two-stages", config(4, GROUP_SIZE), drawn)
    stages = [dialect.weight("fp8_e4m3", "tensor"), dialect.said(build.settings)]
    build.settings["global_quant_config"] = dialect.layer(stages)
    yield build.folder(code="unsupported-layout")


def _by_patterns() -> Folder:
    """Patterns in the order of the file, of which the first that fits a name decides; floats beside integers."""
    build = Build("quark_int", "by-patterns", config(4, GROUP_SIZE), drawn)
    build.settings["layer_quant_config"] = {
        "*self_attn.[qk]_proj": dialect.layer(dialect.weight("int4", "group", 32)),
        "*_proj.none": dialect.layer(dialect.weight("uint8", "tensor")),
        "*.k_proj": dialect.layer(dialect.weight("uint8", "tensor")),
        LAYER + "mlp.up_proj": dialect.layer(dialect.weight("int8", "channel")),
        "*.down_proj": dialect.layer(dialect.weight("fp8_e4m3", "tensor")),
        "*.o_proj": dialect.layer(dialect.weight("fp4", "group", 32, scale_format="e8m0")),
    }
    build.packed = {}
    for name, shape in MODULES.items():
        own = config_of(build.settings, LAYER + name)
        draw = {"fp8_e4m3": _eights, "fp4": _fours}.get(dialect.dtype(own), drawn)
        build.packed[LAYER + name] = Packed(own, draw(build.rng, own, *shape))
    return build.folder(flags=frozenset({fp8.SLUG, mxfp4.SLUG, "mixed-bits"}))


def _eights(rng: np.random.Generator, config: Config, out: int, in_features: int) -> dict[str, Array]:
    codes = Array("float8_e4m3fn", rng.integers(0, 0x7F, (out, in_features)).astype(np.uint8))
    return {"weight": codes, "weight_scale": Array.of(np.array(0.0123, np.float16))}


def _fours(rng: np.random.Generator, config: Config, out: int, in_features: int) -> dict[str, Array]:
    codes, exponents = rng.integers(0, 16, (out, in_features)), rng.integers(110, 125, (out, in_features // 32))
    return mxfp4.packing.flat(codes, exponents, "weight")
