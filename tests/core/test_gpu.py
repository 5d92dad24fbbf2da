"""What a GPU must do as a CPU does. The suite itself says so of each format; here is what it does not ask."""

from __future__ import annotations

import threading

import mlx.core as mx
import numpy as np
import pytest

import mlx_quant
from benchmarks.modules import KINDS, module

pytestmark = pytest.mark.skipif(mx.default_device() != mx.gpu, reason="MLX's default device is no GPU")


@pytest.mark.parametrize("kind", KINDS)
def test_each_thread_decodes_in_its_turn(kind: str) -> None:
    """A compiled function that one thread traced has a stream that no other thread knows."""
    config, drawn = module(kind, 512, 1024)
    found: list[list[np.ndarray]] = []

    def decode() -> None:
        inputs = {name: mx.array(value) for name, value in drawn.items()}
        packed = mlx_quant.to_affine(config, inputs)
        found.append([np.array(mlx_quant.dequantize(config, inputs)), np.array(packed.weight)])

    decode()
    for _ in range(2):
        thread = threading.Thread(target=decode)
        thread.start()
        thread.join()
    assert len(found) == 3
    for other in found[1:]:
        assert all(np.array_equal(one, same) for one, same in zip(found[0], other, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_kernels_and_operations_agree(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlx_quant.weights import device

    config, drawn = module(kind, 512, 1024)
    inputs = {name: mx.array(value) for name, value in drawn.items()}
    with_kernels = [
        np.array(mlx_quant.dequantize(config, inputs)),
        np.array(mlx_quant.to_affine(config, inputs).weight),
    ]
    monkeypatch.setattr(device, "_works", lambda: False)
    without = [np.array(mlx_quant.dequantize(config, inputs)), np.array(mlx_quant.to_affine(config, inputs).weight)]
    assert all(np.array_equal(one, same) for one, same in zip(with_kernels, without, strict=True))
