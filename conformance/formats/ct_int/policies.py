"""Nothing about ``int-quantized`` is disputed; its activations do not touch it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ...bits.array import Array
from ..dialects import compressed_tensors as dialect
from ..module import Spelling
from ..parts import Config, Tensors
from .packing import FORMAT, pack


def disputed(flags: frozenset[str]) -> bool:
    return False


def settled(config: Config, tensors: Tensors, upstream: Mapping[str, Array]) -> Array:
    raise ValueError("no vector of this format is disputed")


def spellings() -> Iterator[Spelling]:
    rng = np.random.default_rng(20261125)
    scales = Array.of((rng.integers(1, 1 << 11, (1, 64)) * 2.0**-14).astype(np.float16))
    plain = pack(rng.integers(0, 256, (64, 128)), np.full((1, 64), 128), scales, symmetric=True)
    settings = dialect.config(FORMAT, 8, -1, symmetric=True)
    group = settings["config_groups"]["group_0"]
    for id, activations in (
        ("dynamic-activations", {"num_bits": 8, "type": "int", "strategy": "token", "dynamic": True}),
        ("static-activations", {"num_bits": 8, "type": "int", "strategy": "tensor", "dynamic": False}),
    ):
        given = dict(plain)
        if not activations["dynamic"]:
            given["input_scale"] = Array.of(np.ones(1, np.float16))
            given["input_zero_point"] = Array.of(np.zeros(1, np.int8))
        other = settings | {"config_groups": {"group_0": group | {"input_activations": activations}}}
        yield Spelling(f"ct_int-{id}", f"ct_int-{id}", other, given, settings, plain)
