"""Speed of one subject: dense decode of matrices of a real model's size, under pytest-benchmark.

Not a test of the suite (pytest does not collect this name by itself); ``mlx-quant-conformance bench`` runs it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ..bits.array import Array
from ..bits.frameworks import to_framework
from ..formats.folder import sized
from ..formats.protocol import Format
from ..formats.registry import FORMATS

SHAPES = ((4096, 4096), (14336, 4096))  # [out, in]
GROUP_SIZE = 128
KINDS: dict[str, tuple[Format, dict[str, Any]]] = {
    format.SLUG: (format, format.config(format.WIDTHS[0], GROUP_SIZE)) for format in FORMATS.values()
}
KINDS |= {
    f"{slug}-act-order": (format, settings | {"desc_act": True})
    for slug, (format, settings) in KINDS.items()
    if "desc_act" in settings
}


def module(kind: str, out: int, in_features: int) -> tuple[dict[str, Any], dict[str, Array]]:
    """Random words: what they decode to is of no concern here."""
    format, settings = KINDS[kind]
    settings = sized(settings, out, in_features)
    return settings, format.drawn(np.random.default_rng(0), settings, out, in_features)


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
