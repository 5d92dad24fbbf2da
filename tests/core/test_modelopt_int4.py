"""ModelOpt's INT4 by its headers, its two files of settings, and the scales of its inputs."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from mlx_quant import Checkpoint, QuantError, UnsupportedFormat, convert, dequantize, to_affine
from mlx_quant.dialects.registry import schemes_of
from mlx_quant.files.folder import TensorInfo
from mlx_quant.packings import modelopt_int4, nvfp4
from mlx_quant.weights.smoothed import Smoothed

CONFIG = {"quant_method": "modelopt", "quant_algo": "W4A16_AWQ"}
MODEL = Path(__file__).parents[2] / "fixtures/modelopt_int4/models/qwen2-modelopt-int4-awq"
Headers = Mapping[str, tuple[str, tuple[int, ...]]]
OURS: Headers = {"weight": ("U8", (12, 96)), "weight_scale": ("F32", (24, 3))}


def infos(headers: Headers) -> dict[str, TensorInfo]:
    return {name: TensorInfo(name, dtype, shape, "a.safetensors") for name, (dtype, shape) in headers.items()}


def module() -> dict[str, mx.array]:
    """Outputs 0 and 1 have the codes 1 and -8, and a scale each."""
    return {"weight": mx.full((1, 32), 0x81, mx.uint8), "weight_scale": mx.array([[0.1], [0.3]])}


@pytest.mark.parametrize(
    ("headers", "is_ours"),
    [
        (OURS, True),
        ({**OURS, "weight_scale": ("F32", (12, 3))}, False),
        ({**OURS, "weight_scale": ("F8_E4M3", (24, 3))}, False),
        ({**OURS, "weight_scale": ("F32", ())}, False),
        ({**OURS, "weight": ("I8", (12, 96))}, False),
        ({**OURS, "weight_scale_2": ("F32", ())}, False),
        ({}, False),
    ],
)
def test_what_is_recognised(headers: Headers, is_ours: bool) -> None:
    assert modelopt_int4.recognises(infos(headers)) == is_ours
    assert not nvfp4.recognises(infos(headers))


def test_two_outputs_a_byte() -> None:
    found = dequantize(CONFIG, module())
    expected = np.repeat(np.array([[0.1], [0.3]], np.float32) * np.array([[1], [-8]], np.float32), 32, axis=1)
    assert found.dtype == mx.float32
    assert np.array_equal(np.array(found), expected)


def test_scales_of_inputs_meet_the_rounded_product() -> None:
    inputs = np.linspace(0.3, 2.7, 32).astype(np.float32)
    tensors = module() | {"pre_quant_scale": mx.array(inputs)}
    plain = np.array(dequantize(CONFIG, module()))
    assert np.array_equal(np.array(dequantize(CONFIG, tensors)), plain * inputs)
    with pytest.raises(UnsupportedFormat, match="every input has a scale of its own"):
        to_affine(CONFIG, tensors)
    half = np.array(dequantize(CONFIG, tensors, dtype=mx.float16))
    assert np.array_equal(half, (plain * inputs).astype(np.float16))


def test_codes_stay_in_mlx_s_affine_form() -> None:
    found = to_affine(CONFIG, module())
    assert (found.bits, found.group_size) == (4, 32)
    assert np.array_equal(np.array(found.weight), np.array([[0x99999999] * 4, [0] * 4], np.uint32))
    assert np.array_equal(np.array(found.scales), np.array([[0.1], [0.3]], np.float32))
    # A scale of 24 bits times a code is not exact in float32; the offset, eight scales, is.
    assert np.array_equal(np.array(found.biases), np.array(found.scales) * np.float32(-8))


def test_the_size_of_groups_is_said_or_seen() -> None:
    assert schemes_of(CONFIG).default.group_size == -1
    layers = {"x": {"quant_algo": "W4A16_AWQ", "group_size": 64}, "y": {"quant_algo": "FP8"}}
    mixed = schemes_of({"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "quantized_layers": layers})
    assert (mixed.scheme("x").packing, mixed.scheme("x").group_size) == ("modelopt_int4", 64)
    assert mixed.scheme("y").packing == "fp8"


@pytest.mark.parametrize(
    ("algorithm", "why"),
    [("W4A8_AWQ", "rounded to FP8"), ("NVFP4_AWQ", "scales of their own"), ("NVFP4_SVD", "low rank"), ("X", "never")],
)
def test_other_algorithms_are_refused_with_their_reason(algorithm: str, why: str) -> None:
    with pytest.raises(UnsupportedFormat, match=why) as found:
        schemes_of({"quant_method": "modelopt", "quant_algo": algorithm})
    assert found.value.code == "unsupported-layout"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"weight_scale": mx.array([[0.1], [float("inf")]])}, "non-finite-scales"),
        ({"pre_quant_scale": mx.array([float("nan")] * 32)}, "non-finite-scales"),
        ({"pre_quant_scale": mx.ones((2,))}, "bad-shape"),
        ({"pre_quant_scale": mx.ones((32,), mx.int32)}, "unsupported-dtype"),
        ({"weight_scale": mx.ones((2, 3))}, "bad-shape"),
        ({"weight": mx.zeros((1, 0), mx.uint8)}, "bad-shape"),
        ({"weight_scale_2": mx.array(1.0)}, "unexpected-tensor"),
    ],
)
def test_tensors_that_are_refused(changed: dict[str, mx.array], code: str) -> None:
    with pytest.raises(QuantError) as found:
        dequantize(CONFIG, module() | changed)
    assert found.value.code == code


def test_modelopt_s_own_folder(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(MODEL, source)
    opened = Checkpoint.open(source)
    assert len(opened.modules) == 14
    kept = [name for name in opened.modules if isinstance(opened.decode(name), Smoothed)]
    assert sorted(kept) == [
        f"model.layers.{n}.{leaf}" for n in (0, 1) for leaf in ("mlp.down_proj", "self_attn.o_proj")
    ]
    report: Any = convert(source, tmp_path / "made", target="affine", progress=False)
    made = mx.load(str(tmp_path / "made" / report.files[0]))
    assert isinstance(made, dict)
    assert made["model.layers.0.mlp.up_proj.weight"].dtype == mx.uint32
    assert "model.layers.0.mlp.down_proj.scales" not in made
