"""BitNet in the core: which layer a configuration means, MLX's form, and what is not decoded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

import mlx_quant
from mlx_quant import Checkpoint, MalformedCheckpoint, QuantError, UnsupportedFormat
from mlx_quant.dialects.registry import schemes_of

MODEL = Path(__file__).parents[2] / "fixtures/bitnet/models/qwen2-bitlinear"
BARE = {"quant_method": "bitnet"}
MULTIPLIED = BARE | {"linear_class": "autobitlinear"}


def module(scale: float, dtype: mx.Dtype = mx.bfloat16, width: int = 32) -> dict[str, mx.array]:
    """Outputs 0 to 3, one a quarter, are of the codes 0 to 3."""
    return {"weight": mx.full((1, width), 0b11100100, dtype=mx.uint8), "weight_scale": mx.array([scale], dtype=dtype)}


def column(config: dict[str, Any], tensors: dict[str, mx.array], **options: Any) -> list[float]:
    found: list[float] = mlx_quant.dequantize(config, tensors, candidates=True, **options)[:, 0].tolist()
    return found


def test_the_layer_decides_what_the_scale_does() -> None:
    assert column(BARE, module(4.0)) == [-0.25, 0.0, 0.25, 0.5]
    assert column(BARE | {"linear_class": "bitlinear"}, module(4.0)) == [-0.25, 0.0, 0.25, 0.5]
    assert column(MULTIPLIED, module(4.0)) == [-4.0, 0.0, 4.0, 8.0]


def test_a_quotient_is_rounded_once() -> None:
    """One over this float32 is nearer to the upper of two bfloat16, and as a float32 it is the middle of them."""
    scale = np.float32(1 / (1 + 2.0**-8))
    assert 1 / np.float64(scale) > 1 + 2.0**-8
    assert np.float32(1) / scale == np.float32(1 + 2.0**-8)
    tensors = module(float(scale), mx.float32)
    assert column(BARE, tensors, dtype=mx.bfloat16)[2] == 1 + 2.0**-7


@pytest.mark.parametrize("config", [BARE, MULTIPLIED])
@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16])
@pytest.mark.parametrize("width", [32, 96])
def test_mlx_holds_it_exactly(config: dict[str, Any], dtype: mx.Dtype, width: int) -> None:
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 3, (4, 6, width)).astype(np.uint8)
    octets = codes[0] | codes[1] << 2 | codes[2] << 4 | codes[3] << 6
    tensors = {"weight": mx.array(octets), "weight_scale": mx.array([0.0371], dtype=dtype)}
    found = mlx_quant.to_affine(config, tensors, candidates=True)
    assert (found.bits, found.scales.dtype) == (2, dtype)
    dense = mx.dequantize(found.weight, found.scales, found.biases, found.group_size, found.bits)
    assert mx.array_equal(dense, mlx_quant.dequantize(config, tensors, candidates=True)).item()
    assert dense.shape == (24, width)


def test_a_quotient_beyond_the_parameters_has_no_affine_form() -> None:
    with pytest.raises(UnsupportedFormat) as caught:
        mlx_quant.to_affine(BARE, module(2.0**-20, mx.float16), candidates=True)
    assert caught.value.code == "unsupported-affine"
    found = mlx_quant.to_affine(BARE, module(2.0**-20, mx.float16), params_dtype=mx.float32, candidates=True)
    assert found.scales[0, 0].item() == 2.0**20
    with pytest.raises(UnsupportedFormat) as caught:
        mlx_quant.to_affine(BARE, module(2.0**-130), candidates=True)
    assert caught.value.code == "unsupported-affine"
    with pytest.raises(UnsupportedFormat) as caught:
        mlx_quant.to_affine(BARE, module(1.0, width=20), candidates=True)
    assert caught.value.code == "unsupported-affine"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"quantization_mode": "online"}, "unsupported-layout"),
        ({"use_rms_norm": True}, "unsupported-layout"),
        ({"linear_class": "bitblas"}, "bad-config-value"),
        ({"linear_class": ["bitlinear"]}, "bad-config-value"),
        ({"quantization_mode": 1}, "bad-config-value"),
        ({"use_rms_norm": "no"}, "bad-config-value"),
    ],
)
def test_what_would_be_another_model_is_refused(changes: dict[str, Any], code: str, tmp_path: Path) -> None:
    shutil.copytree(MODEL, tmp_path / "model")
    file = tmp_path / "model/config.json"
    config = json.loads(file.read_text())
    config["quantization_config"] |= changes
    file.write_text(json.dumps(config))
    with pytest.raises(QuantError) as caught:
        Checkpoint.open(tmp_path / "model", candidates=True)
    assert caught.value.code == code


def test_whole_numbers_beside_a_scale_are_no_dense_weight(tmp_path: Path) -> None:
    tensors = mx.load(str(MODEL / "model.safetensors"))
    name = "model.layers.0.mlp.up_proj.weight"
    tensors[name] = mx.ones((512, 256), dtype=mx.bfloat16)
    shutil.copytree(MODEL, tmp_path / "model")
    mx.save_safetensors(str(tmp_path / "model/model.safetensors"), tensors)
    with pytest.raises(MalformedCheckpoint) as caught:
        Checkpoint.open(tmp_path / "model", candidates=True)
    assert caught.value.code == "bad-dtype"


def test_what_is_done_to_inputs_and_biases_is_noted() -> None:
    assert "8 bits" in schemes_of(BARE).default.notes[0]
    assert len(schemes_of(BARE).default.notes) == 1
    assert "bias" in schemes_of(MULTIPLIED).default.notes[1]
    found = Checkpoint.open(MODEL, candidates=True)
    assert len(found.modules) == 14
    up = found.modules["model.layers.0.mlp.up_proj"]
    assert (up.shape, up.dtype) == ((512, 256), mx.bfloat16)
