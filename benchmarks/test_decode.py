"""Dense decode of one matrix of a real model's size.

Contenders: the core; upstream's formula in plain torch; the reference, which is slow on purpose; a copy of the result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
import torch

import mlx_quant
import reference
from benchmarks.modules import KINDS, module, upstream_formula

SHAPES = [(4096, 4096), (14336, 4096)]  # [out, in]


def contender(name: str, kind: str, out: int, in_features: int) -> Callable[[], Any]:
    config, tensors = module(kind, out, in_features)
    if name == "core":
        inputs = {key: mx.array(value) for key, value in tensors.items()}
        mx.eval(inputs)
        return lambda: mx.eval(mlx_quant.dequantize(config, inputs))
    if name == "reference":
        given = {key: torch.from_numpy(value) for key, value in tensors.items()}
        return lambda: reference.dequantize(config, given)
    if name == "torch":
        given = {key: torch.from_numpy(value) for key, value in tensors.items()}
        return lambda: upstream_formula(kind, given)
    dense = np.ones((out, in_features), np.float16)
    return dense.copy


@pytest.mark.parametrize("contender_name", ["core", "torch", "reference", "copy"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape[0]}x{shape[1]}")
def test_dense(benchmark: Any, shape: tuple[int, int], kind: str, contender_name: str) -> None:
    benchmark.group = f"{kind} {shape[0]}x{shape[1]}"
    benchmark.extra_info["dense_bytes"] = 2 * shape[0] * shape[1]
    benchmark.pedantic(
        contender(contender_name, kind, *shape), rounds=2 if contender_name == "reference" else 5, warmup_rounds=1
    )
