"""Speed of one subject: dense decode of matrices of a real model's size, under pytest-benchmark.

Not a test of the suite (pytest does not collect this name by itself); ``mlx-quant-conformance bench`` runs it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ..bits.array import Array
from ..bits.frameworks import to_framework
from ..formats.registry import config
from ..levels.grid import Draw

SHAPES = ((4096, 4096), (14336, 4096))  # [out, in]
KINDS = ("gptq", "gptq-act-order", "awq")
GROUP_SIZE = 128


def module(kind: str, out: int, in_features: int) -> tuple[dict[str, Any], dict[str, Array]]:
    """Random words: what they decode to is of no concern here."""
    draw, groups, format = Draw(kind), in_features // GROUP_SIZE, kind.partition("-")[0]

    def words(*shape: int) -> Array:
        return Array.of(draw.below(2**32, *shape).astype(np.uint32).view(np.int32))

    tensors = {
        "qweight": words(in_features // 8, out) if format == "gptq" else words(in_features, out // 8),
        "qzeros": words(groups, out // 8),
        "scales": draw.scales("float16", "ordinary", groups, out),
    }
    if kind == "gptq-act-order":
        consecutive = np.arange(in_features, dtype=np.int32) // GROUP_SIZE
        tensors["g_idx"] = Array.of(draw.shuffled(consecutive))
    return config(format, GROUP_SIZE) | ({"desc_act": True} if "g_idx" in tensors else {}), tensors


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape[0]}x{shape[1]}")
def test_dense(benchmark: Any, shape: tuple[int, int], kind: str, subject: Any) -> None:
    settings, tensors = module(kind, *shape)
    inputs = {name: to_framework(array, subject.framework) for name, array in tensors.items()}
    if subject.framework == "mlx":
        import mlx.core as mx

        mx.eval(inputs)

    def decode() -> None:
        value = subject.dequantize(settings, inputs)
        if subject.framework == "mlx":  # which has only promised it so far
            mx.eval(value)

    benchmark.extra_info["dense_bytes"] = 2 * shape[0] * shape[1]
    benchmark.pedantic(decode, rounds=7, warmup_rounds=2)
