"""Gemma's own integers in the core: widths by patterns, scales that are rounded first, and hostile configs."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

import mlx_quant
from mlx_quant import Checkpoint, MalformedCheckpoint
from mlx_quant.dialects.registry import schemes_of
from mlx_quant.errors import QuantWarning

MODEL = Path(__file__).parents[2] / "fixtures/gemma_quant/models/qwen2-gemma-int8-int4"
UP, V = "model.layers.0.mlp.up_proj", "model.layers.0.self_attn.v_proj"
FOUR = {"quant_method": "gemma", "num_bits": 4}


def module(scale: float, byte: int = 0xF8) -> dict[str, mx.array]:
    """A row of codes for 0 and 7, four times."""
    return {"weight": mx.full((1, 4), byte, dtype=mx.uint8), "weight_scale": mx.array([[scale]], dtype=mx.float32)}


def test_patterns_give_each_module_its_width() -> None:
    found = Checkpoint.open(MODEL)
    up, v = found.modules[UP], found.modules[V]
    assert (up.scheme.bits, up.shape, v.scheme.bits, v.shape) == (4, (512, 256), 8, (128, 256))
    assert up.dtype == mx.float32


@pytest.mark.parametrize(
    "patterns",
    [
        ("mlp", r"layers\.0"),
        (r"model\.layers", "model"),
        ("model", r"model\.layers"),
        ("no such", "up_proj$"),
        ("(up|gate)_proj", "mlp"),
        (r"(?P<which>up)_proj", "up"),
        ("", "up"),
        ("nowhere", "neither"),
    ],
)
def test_of_two_patterns_the_one_further_to_the_left_decides(patterns: tuple[str, str]) -> None:
    widths = (8, 2)
    rules = {pattern: {"num_bits": bits} for pattern, bits in zip(patterns, widths, strict=True)}
    # As replace_with_quant_layers of transformers has it.
    match = re.search("|".join(f"(?P<g{i}>{pattern})" for i, pattern in enumerate(patterns)), UP)
    due = 4 if match is None else next(widths[i] for i in range(2) if match[f"g{i}"] is not None)
    found = schemes_of(FOUR | {"module_quant_configs": rules})
    assert found.scheme(UP).bits == due
    assert (found.place(UP) is None) == (match is None)
    assert found.scheme("").bits == found.default.bits == 4


@pytest.mark.parametrize(
    "rules",
    [
        ["mlp"],
        {"mlp": 8},
        {"mlp": {"bits": 8}},
        {"mlp": {"num_bits": None}},
        {"mlp(": {}},
        {"a)|(b": {}},
        {"(?P<g0>mlp)": {}},
        {"m" * 30_000: {}},
        {7: {}},
    ],
)
def test_rules_that_are_none_are_refused(rules: Any) -> None:
    with pytest.raises(MalformedCheckpoint) as caught:
        schemes_of(FOUR | {"module_quant_configs": rules})
    assert caught.value.code == "bad-config-value"


def test_the_scale_is_rounded_before_it_multiplies() -> None:
    # 1 + 2**-8 lies in the middle of two bfloat16; seven times it is nearer to another number.
    scale = 1 + 2.0**-8 + 2.0**-20
    weight = mlx_quant.dequantize(FOUR, module(scale), dtype=mx.bfloat16)
    rounded = 1 + 2.0**-7
    assert weight.dtype == mx.bfloat16
    assert weight.tolist()[0] == [0.0, mx.array(7 * rounded).astype(mx.bfloat16).item()] * 4
    assert weight.tolist()[0][1] != mx.array(7 * scale).astype(mx.bfloat16).item()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_scale_beyond_the_dtype_is_infinite_and_zero_stays_zero(sign: float) -> None:
    found = np.array(mlx_quant.dequantize(FOUR, module(sign * 1e6), dtype=mx.float16))
    assert found.tolist()[0] == [0.0, sign * np.inf] * 4
    assert (np.signbit(found) == (sign < 0)).all()


def test_clamped_activations_are_told(tmp_path: Path) -> None:
    shutil.copytree(MODEL, tmp_path / "model")
    file = tmp_path / "model/model.safetensors"
    tensors = dict(mx.load(str(file)))
    tensors[f"{UP}.input_activation_scale"] = mx.array(0.03125)
    mx.save_safetensors(str(file), tensors, {"format": "pt"})
    with pytest.warns(QuantWarning, match="clamps activations") as caught:
        Checkpoint.open(tmp_path / "model").examine(UP)
    assert len(caught) == 1
    assert "input_activation_scale" in str(caught[0].message)


@pytest.mark.parametrize("target", ["dense", "affine"])
def test_a_packed_embedding_and_scales_of_caches_are_loaded(target: Any, tmp_path: Path) -> None:
    shutil.copytree(MODEL, tmp_path / "model")
    file, config = tmp_path / "model/model.safetensors", tmp_path / "model/config.json"
    tensors = dict(mx.load(str(file)))
    table = tensors.pop("model.embed_tokens.weight").astype(mx.float32)
    scale = mx.abs(table).max(axis=1, keepdims=True) / 127
    tensors["model.embed_tokens.embedding_quantized"] = mx.round(table / scale).astype(mx.int8)
    tensors["model.embed_tokens.embedding_scale"] = scale
    tensors["model.layers.0.self_attn.k_cache_scale"] = mx.array(0.01)
    mx.save_safetensors(str(file), tensors, {"format": "pt"})
    said = json.loads(config.read_text())
    said["quantization_config"]["module_quant_configs"]["embed_tokens"] = {"num_bits": 8}
    config.write_text(json.dumps(said))
    found, _ = mlx_quant.load(tmp_path / "model", target=target)
    plain, _ = mlx_quant.load(MODEL, target=target)
    tokens = mx.arange(32)[None]
    near, due = (np.array(model(tokens).astype(mx.float32)) for model in (found, plain))
    # Of 8 bits little is lost.
    assert 0 < np.abs(near - due).max() < 0.02 * np.abs(due).max()
