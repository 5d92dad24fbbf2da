"""What a GPU without kernels does, on this CPU: its operations give the same bits, what waits is refused in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

import mlx_quant
from benchmarks.modules import KINDS, module

OUT, IN, GROUPS = 64, 256, 2


@pytest.fixture
def as_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    mx.disable_compile()  # which takes a compiler on a CPU
    monkeypatch.setattr(mx, "default_device", lambda: mx.gpu)
    yield
    mx.enable_compile()


def _inputs(kind: str, **changed: np.ndarray) -> tuple[dict[str, Any], dict[str, mx.array]]:
    config, drawn = module(kind, OUT, IN)
    return config, {name: mx.array(value) for name, value in (drawn | changed).items()}


def _all(config: dict[str, Any], inputs: dict[str, mx.array]) -> list[np.ndarray]:
    packed = mlx_quant.to_affine(config, inputs).arrays
    return [np.array(mlx_quant.dequantize(config, inputs)), *(np.array(packed[name]) for name in sorted(packed))]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sym", [True, False])
def test_operations_give_the_bits_of_the_cpu(kind: str, sym: bool, request: pytest.FixtureRequest) -> None:
    config, inputs = _inputs(kind)
    if kind != "awq":
        config |= {"sym": sym}
    here = _all(config, inputs)
    request.getfixturevalue("as_gpu")
    there = _all(config, inputs)
    assert len(here) == len(there)
    assert all(np.array_equal(one, same) for one, same in zip(here, there, strict=True))


@pytest.mark.parametrize("bits", [2, 3, 8])
@pytest.mark.parametrize("size", [4, 64])
@pytest.mark.parametrize("stored", [np.float16, np.float32])
def test_so_they_do_of_other_widths(bits: int, size: int, stored: type, request: pytest.FixtureRequest) -> None:
    rng = np.random.default_rng(bits)
    draw = lambda *shape: mx.array(rng.integers(-(2**31), 2**31, shape, dtype=np.int32))  # noqa: E731
    scales = mx.array((rng.random((IN // size, OUT)) / 100).astype(stored))
    inputs = {"qweight": draw(IN * bits // 32, OUT), "qzeros": draw(IN // size, OUT * bits // 32), "scales": scales}
    config = {"quant_method": "gptq", "bits": bits, "group_size": size, "sym": False}
    decode = lambda: np.array(mlx_quant.dequantize(config, inputs, dtype=mx.float16))  # noqa: E731
    here = decode()
    request.getfixturevalue("as_gpu")
    assert np.array_equal(decode().view(np.uint16), here.view(np.uint16))


@pytest.mark.parametrize("label", ["gptq", "gptq_v2"])
@pytest.mark.parametrize("field", [7, 8])
def test_symmetric_zero_points_go_by_the_data(label: str, field: int, as_gpu: None) -> None:
    """Both labels' middles mean 8: stored as 7 under gptq, as 8 under gptq_v2, and the other way round by mistake."""
    qzeros = np.full((GROUPS, OUT // 8), field * 0x11111111, np.uint32).view(np.int32)
    config, inputs = _inputs("gptq", qzeros=qzeros)
    config |= {"sym": True, "checkpoint_format": label}
    codes = (np.array(inputs["qweight"]).view(np.uint32)[:, None] >> np.arange(0, 32, 4, dtype=np.uint32)[:, None]) & 15
    scales = np.repeat(np.array(inputs["scales"]), IN // GROUPS, axis=0).astype(np.float32)
    expected = ((codes.reshape(IN, OUT).astype(np.float32) - 8) * scales).astype(np.float16).T
    assert np.array_equal(np.array(mlx_quant.dequantize(config, inputs)), expected)


_ORDER = np.random.default_rng(5).permutation(np.arange(IN, dtype=np.int32) // (IN // GROUPS))
_NAN = np.full((GROUPS, OUT), np.nan, np.float16)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"scales": _NAN}, "non-finite-scales"),
        ({"g_idx": _ORDER + 1}, "group-index-out-of-range"),
        ({"g_idx": _ORDER - 1}, "group-index-out-of-range"),
        ({"g_idx": _ORDER.astype(np.int64) + (1 << 32)}, "group-index-out-of-range"),
        ({"scales": _NAN, "g_idx": _ORDER + 1}, "non-finite-scales"),
        ({"scales": _NAN, "g_idx": np.maximum(_ORDER, np.arange(IN) == 0)}, "non-finite-scales"),
    ],
)
def test_what_waits_is_refused_in_its_order(changed: dict[str, np.ndarray], code: str, as_gpu: None) -> None:
    config, inputs = _inputs("gptq-act-order", **changed)
    for ask in (mlx_quant.dequantize, mlx_quant.to_affine):
        with pytest.raises(mlx_quant.MalformedCheckpoint) as refused:
            ask(config, inputs)
        assert refused.value.code == code


def test_a_flat_configuration_is_remembered_with_its_types() -> None:
    config, inputs = _inputs("gptq")
    mlx_quant.dequantize(config, inputs)
    with pytest.raises(mlx_quant.MalformedCheckpoint) as refused:
        mlx_quant.dequantize(config | {"sym": 0}, inputs)  # which equals False
    assert refused.value.code == "bad-config-value"
