"""Nothing about Quark's integers is disputed but a zero point that is refused (docs/policies.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ...bits.array import Array
from ..dialects import quark as dialect
from ..module import Spelling
from ..parts import Config, Tensors
from .packing import config, packed

_Pair = tuple[str, dict[str, Any], dict[str, Array], dict[str, Any], dict[str, Array]]


def disputed(flags: frozenset[str]) -> bool:
    return False


def settled(config: Config, tensors: Tensors, upstream: Mapping[str, Array]) -> Array:
    raise ValueError("no vector of this format is disputed")


def spellings() -> Iterator[Spelling]:
    for id, other, tensors, plain_config, plain in _pairs():
        yield Spelling(f"quark_int-{id}", f"quark_int-{id}", other, tensors, plain_config, plain)


def _pairs() -> Iterator[_Pair]:
    rng = np.random.default_rng(20261129)
    scales = Array.of((rng.integers(1, 1 << 11, (4, 64)) * 2.0**-14).astype(np.float16))
    settings = config(4, 32)
    plain = packed(settings, rng.integers(0, 16, (64, 128)), rng.integers(0, 16, (4, 64)), scales)
    weight = dialect.said(settings)
    activations = dialect.layer(weight, input_tensors=dialect.weight("int8", "tensor"))
    given = plain | {
        "input_scale": Array.of(np.ones((), np.float16)),
        "input_zero_point": Array.of(np.zeros((), np.int8)),
    }
    yield "activations", settings | {"global_quant_config": activations}, given, settings, plain
    yield "stages", settings | {"global_quant_config": dialect.layer([weight])}, plain, settings, plain
    yield "pack_method-absent", settings | {"export": {}}, plain, settings, plain
    yield "capitals", settings | {"quant_method": "Quark"}, plain, settings, plain
    unnamed = {key: value for key, value in settings.items() if key != "quant_method"}
    yield "method-absent", unnamed, plain, settings, plain
    eights = dialect.config(dialect.weight("int8", "channel"))
    row = Array(scales.dtype, scales.bits[:1].copy())
    bytes_ = packed(eights, rng.integers(0, 256, (64, 96)), np.full((1, 64), 128), row)
    ordered = dialect.config(dialect.weight("int8", "channel"), "order")
    yield "bytes-in-any-order", ordered, bytes_, eights, bytes_
    one = dialect.config(dialect.weight("uint8", "tensor"))
    lone = packed(one, rng.integers(0, 256, (64, 96)), np.full((1, 64), 99), row)
    with_axis = {
        name: Array(lone[name].dtype, lone[name].bits.reshape(1)) for name in ("weight_scale", "weight_zero_point")
    }
    yield "scale-of-one-axis", one, lone | with_axis, one, lone
    twos = dialect.config(dialect.weight("uint2", "group", 32))
    fours = packed(twos, rng.integers(0, 4, (64, 128)), rng.integers(0, 4, (4, 64)), scales)
    yield "twos-in-any-order", dialect.config(dialect.weight("uint2", "group", 32), "order"), fours, twos, fours
