"""HQQ in the core: folded rows in parts, two roundings, and tensors that describe a module."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from mlx_quant import Checkpoint, QuantError, UnsupportedFormat, convert
from mlx_quant.checkpoint.outline import Outline
from mlx_quant.dialects.registry import schemes_of
from mlx_quant.weights import pieces
from mlx_quant.weights.shifted import Shifted

FIXTURES = Path(__file__).parents[2] / "fixtures"
MODEL = FIXTURES / "hqq/models/qwen2-hqq-4bit-3bit-axis-0"
FOUR, THREE = "model.layers.0.self_attn.q_proj", "model.layers.0.mlp.up_proj"


def made(words: Any, scales: Any, zeros: Any, size: tuple[int, int], dtype: mx.Dtype = mx.float16) -> Shifted:
    """Of 4 bits, [out, in] in groups along the inputs."""
    shape = (-1, 1)
    scales, zeros = (mx.array(np.array(a, np.float32)).astype(dtype).reshape(shape) for a in (scales, zeros))
    return Shifted(mx.array(words, dtype=mx.uint8), (4, 0), 4, 2 * len(words), scales, zeros, size)


def bits(array: mx.array) -> np.ndarray:
    return np.array(array.view(mx.uint32 if array.itemsize == 4 else mx.uint16))


def test_the_first_rows_lie_in_the_high_halves() -> None:
    found = made([[0x12, 0x3F]], [1.0, 1.0], [0.0, 0.0], (2, 2))
    assert found.dense().tolist() == [[1.0, 3.0], [2.0, 15.0]]
    assert np.array(found.codes()).tolist() == [[1, 3], [2, 15]]


def test_both_steps_are_rounded() -> None:
    # 9 - 0.3 is rounded to float16, and so is its product with 0.7; the exact product rounds to another number.
    zero, scale = np.float16(0.3), np.float16(0.7)
    found = made([[0x99]], [scale, scale], [zero, zero], (1, 2))
    due = np.float16(np.float16(9 - np.float32(zero)) * np.float32(scale))
    once = np.float16((9 - np.float64(zero)) * np.float64(scale))
    assert found.dense().tolist() == [[float(due)] * 2]
    assert due != once
    wide = found.dense(mx.float32)
    assert wide.dtype == mx.float32
    assert wide.tolist() == [[float(due)] * 2]


@pytest.mark.parametrize("rows", [1, 3, 8])
def test_pieces_make_the_same_matrix(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(rows)
    words = rng.integers(0, 2**30, (rows, 24)).astype(np.int32)
    count = 10 * rows - 3
    scales, zeros = (mx.array(rng.random((count, 1)).astype(np.float16)) for _ in range(2))
    found = Shifted(mx.array(words), tuple(range(27, -1, -3)), 3, count, scales, zeros, (count, 24))
    whole = found.dense()
    monkeypatch.setattr(pieces, "ON_CPU", 48)
    assert np.array_equal(bits(whole), bits(found.dense()))
    codes = np.concatenate([(words >> shift) & 7 for shift in range(27, -1, -3)])[:count]
    assert np.array_equal(np.array(found.codes()), codes)


def test_an_affine_form_keeps_codes_and_scales() -> None:
    rng = np.random.default_rng(7)
    words = rng.integers(0, 256, (4, 64)).astype(np.uint8)
    scales, zeros = rng.random(8).astype(np.float16), (16 * rng.random(8)).astype(np.float16)
    found = made(words, scales, zeros, (4, 128))
    form = found.native(mx.float32)
    assert (form.group_size, form.bits, form.scales.shape) == (64, 4, (4, 2))
    values = mx.dequantize(form.weight, form.scales, form.biases, group_size=64, bits=4)
    exact = (np.array(found.codes(), np.float64).reshape(8, 64) - zeros[:, None]) * scales[:, None].astype(np.float64)
    assert np.abs(np.array(values).reshape(8, 64) - exact).max() < 1e-5
    assert found.native().scales.dtype == mx.float16


@pytest.mark.parametrize(
    ("count", "columns", "along", "size", "why"),
    [
        (64, 32, False, (32, 64), "across the outputs"),
        (64, 16, True, (32, 32), "groups of 16"),
        (8, 96, True, (6, 128), "groups of 96"),
    ],
)
def test_groups_that_mlx_has_not_are_refused(
    count: int, columns: int, along: bool, size: tuple[int, int], why: str
) -> None:
    ones = mx.ones((count, 1) if along else (1, columns), mx.float16)
    found = Shifted(mx.zeros((count // 2, columns), mx.uint8), (4, 0), 4, count, ones, ones, size)
    with pytest.raises(UnsupportedFormat, match=why) as caught:
        found.native()
    assert caught.value.code == "unsupported-affine"


def test_tags_say_which_layers_are_meant() -> None:
    config = json.loads((MODEL / "config.json").read_text())["quantization_config"]
    schemes = schemes_of(config)
    four, three = (schemes.scheme(name) for name in (FOUR, THREE))
    assert (four.bits, four.group_size, four.layout) == (4, 64, "axis 1")
    assert (three.bits, three.group_size, three.layout) == (3, 32, "axis 0")
    assert schemes.place(THREE) == "quant_config.mlp.up_proj"
    assert schemes.place("lm_head") is None
    assert schemes.scheme("lm_head") == schemes.default


def test_a_module_is_measured_by_what_lies_beside_it() -> None:
    checkpoint = Checkpoint.open(MODEL)
    for name in (FOUR, THREE):
        module = checkpoint.modules[name]
        assert (module.in_features, module.dtype) == (256, mx.bfloat16)
        assert Outline(checkpoint).examine(name) == checkpoint.examine(name)
    assert not checkpoint.warnings


def rewritten(folder: Path, edit: Any, **config: Any) -> Path:
    shutil.copytree(MODEL, folder)
    tensors = mx.load(str(folder / "model.safetensors"))
    edit(tensors)
    mx.save_safetensors(str(folder / "model.safetensors"), tensors)
    if config:
        found = json.loads((folder / "config.json").read_text())
        found["quantization_config"] |= config
        (folder / "config.json").write_text(json.dumps(found))
    return folder


def set_to(leaf: str, value: mx.array) -> Any:
    return lambda tensors: tensors.update({f"{THREE}.{leaf}": value})


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (set_to("shape", mx.array([2**30, 2**30])), "bad-shape"),
        (set_to("shape", mx.array([512])), "unsupported-layout"),
        (set_to("shape", mx.array([-512, -256])), "bad-config-value"),
        (set_to("shape", mx.zeros(100_000, mx.int32)), "bad-config-value"),
        (set_to("shape", mx.zeros(2, mx.float16)), "bad-dtype"),
        (set_to("group_size", mx.array(0)), "bad-config-value"),
        (set_to("group_size", mx.zeros(0, mx.int32)), "bad-config-value"),
        (set_to("axis", mx.array(-1)), "bad-config-value"),
        (set_to("nbits", mx.array(float("nan"))), "config-contradiction"),
        (set_to("packing", mx.zeros(0, mx.uint8)), "unsupported-layout"),
        (set_to("compute_dtype", mx.full(3, 0xFF, mx.uint8)), "config-contradiction"),
        (set_to("view_as_float", mx.array(1, mx.uint8)), "bad-dtype"),
        (set_to("zero_scale", mx.zeros(2)), "unsupported-layout"),
        (lambda tensors: tensors.pop(f"{THREE}.axis"), "missing-tensor"),
        (lambda tensors: tensors.pop(f"{THREE}.scale"), "missing-tensor"),
    ],
)
def test_what_describes_a_module_is_not_believed(tmp_path: Path, edit: Any, code: str) -> None:
    folder = rewritten(tmp_path / "source", edit)
    with pytest.raises(QuantError) as caught:
        Checkpoint.open(folder)
    assert caught.value.code == code, caught.value


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        (None, "bad-config-value"),
        ({"mlp.up_proj": 4}, "bad-config-value"),
        ({"weight_quant_params": 4}, "bad-config-value"),
        ({"weight_quant_params": {"nbits": 2**70}}, "unsupported-bits"),
        ({"weight_quant_params": {"nbits": float("nan")}}, "unsupported-bits"),
        ({"weight_quant_params": {"axis": []}}, "bad-config-value"),
        ({"weight_quant_params": {"channel_wise": False}}, "unsupported-layout"),
        ({"weight_quant_params": {}, "zero_quant_params": 8}, "bad-config-value"),
    ],
)
def test_settings_that_hqq_has_not_are_refused(settings: Any, code: str) -> None:
    with pytest.raises(QuantError) as caught:
        schemes_of({"quant_method": "hqq", "quant_config": settings})
    assert caught.value.code == code


def test_a_configuration_that_says_otherwise_is_remarked_on(tmp_path: Path) -> None:
    other = {"weight_quant_params": {"nbits": 4, "group_size": 64, "axis": 1}}
    folder = rewritten(tmp_path / "source", lambda tensors: None, quant_config=other)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        checkpoint = Checkpoint.open(folder)
        found = checkpoint.dequantize(THREE)
    assert any("says axis 1, and the tensors say 0" in text for text in checkpoint.warnings)
    assert np.array_equal(bits(found), bits(Checkpoint.open(MODEL).dequantize(THREE)))


def test_a_conversion_says_that_mlx_rounds_once(tmp_path: Path) -> None:
    report = convert(MODEL, tmp_path / "out", target="affine")
    said = " ".join(map(str, report.exact))
    assert "8 modules packed: codes are kept" in said
    assert "rounds twice and MLX once" in said
    assert "6 modules dense: each weight is, bit for bit" in said
