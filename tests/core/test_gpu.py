"""What a GPU must do as a CPU does. The suite itself says so of each format; here is what it does not ask."""

from __future__ import annotations

import functools
import threading
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

import mlx_quant
from benchmarks.modules import KINDS, module
from mlx_quant.weights.compiled import _functions
from mlx_quant.weights.replay import replay

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

    def decoded() -> list[np.ndarray]:
        packed = mlx_quant.to_affine(config, inputs).arrays
        return [np.array(mlx_quant.dequantize(config, inputs)), *(np.array(packed[name]) for name in sorted(packed))]

    with_kernels = decoded()
    monkeypatch.setattr(device, "_works", lambda: False)
    without = decoded()
    assert len(with_kernels) == len(without)
    assert all(np.array_equal(one, same) for one, same in zip(with_kernels, without, strict=True))


@pytest.mark.parametrize("ask", [mlx_quant.dequantize, mlx_quant.to_affine])
@pytest.mark.parametrize(
    ("name", "place", "value", "code"),
    [
        ("scales", 77, np.nan, "non-finite-scales"),
        ("scales", -1, -np.inf, "non-finite-scales"),
        ("g_idx", 5, 8, "group-index-out-of-range"),
        ("g_idx", -1, -1, "group-index-out-of-range"),
    ],
)
def test_kernels_tell_what_must_be_refused(ask: Any, name: str, place: int, value: float, code: str) -> None:
    config, drawn = module("gptq-act-order", 512, 1024)
    drawn[name].flat[place] = value
    with pytest.raises(mlx_quant.MalformedCheckpoint) as refused:
        ask(config, {name: mx.array(value) for name, value in drawn.items()})
    assert refused.value.code == code


@pytest.mark.parametrize("works", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_known_of_a_shape_refuses_no_less(kind: str, works: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second module of a shape is decoded without asking Python again, but for what only its numbers say."""
    from mlx_quant.weights import device

    monkeypatch.setattr(device, "_works", functools.partial(bool, works and device._works()))
    config, drawn = module(kind, 512, 1024)
    inputs = {name: mx.array(value) for name, value in drawn.items()}
    first = np.array(mlx_quant.dequantize(config, inputs))
    drawn["scales"].flat[77] = np.nan
    for _ in range(2):
        with pytest.raises(mlx_quant.MalformedCheckpoint, match="1 of"):
            mlx_quant.dequantize(config, inputs | {"scales": mx.array(drawn["scales"])})
        assert np.array_equal(first, np.array(mlx_quant.dequantize(config, inputs)))
    if mx.cuda.is_available():
        assert any(key[0] is replay and key[-1] == device.reads() for key in _functions.of)
