"""Corners in which weights were wrong without a word."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm.utils
import numpy as np
import pytest
import torch

import mlx_quant
import reference
from mlx_quant import ConversionError, MalformedCheckpoint, convert, load

GPTQ = "llama-gptq-g128-seq-asym"
MODULE = "model.layers.0.mlp.up_proj"
Copy = Callable[..., Any]


def test_biases_beyond_float16_are_float32_where_the_weights_are_finite(copy: Copy, tmp_path: Path) -> None:
    source = copy(GPTQ)
    settings = source.json()["quantization_config"]

    def change(tensors: dict[str, torch.Tensor]) -> None:
        out, inputs = tensors[f"{MODULE}.scales"].shape[1], tensors[f"{MODULE}.g_idx"].shape[0]
        q, z = torch.full((out, inputs), 14, dtype=torch.int32), torch.full((inputs // 128, out), 15, dtype=torch.int32)
        s = torch.full((inputs // 128, out), 6000.0).half()
        packed = reference.pack(settings, q, z, s, torch.arange(inputs) // 128)
        tensors.update({f"{MODULE}.{leaf}": tensor for leaf, tensor in packed.items()})

    source.rewrite(change)
    report = convert(source.path, tmp_path / "out", target="affine", progress=False)
    assert any("1 modules get float32 scales and biases" in note for note in report.notes)
    model, _ = mlx_lm.utils.load_model(tmp_path / "out")
    layer = model.model.layers[0].mlp.up_proj
    dense = mx.dequantize(layer.weight, layer.scales, layer.biases, group_size=layer.group_size, bits=layer.bits)
    assert np.unique(np.array(dense)).tolist() == [-6000.0]
    assert model.model.layers[0].mlp.gate_proj.scales.dtype == mx.float16
    with pytest.raises(ConversionError) as caught:
        convert(source.path, tmp_path / "narrow", target="affine", params_dtype="float16", progress=False)
    assert caught.value.code == "overflow"


@pytest.mark.parametrize("value", [1 << 31, 1 << 32, (1 << 32) + 1, -(1 << 32), 1 << 62])
def test_a_group_index_beyond_32_bits_is_out_of_range(value: int) -> None:
    settings = {"quant_method": "gptq", "bits": 4, "group_size": 32, "sym": False, "desc_act": True}
    zeros, index = torch.zeros(2, 32, dtype=torch.int32), torch.arange(64) // 32
    q, s = torch.ones(32, 64, dtype=torch.int32), torch.ones(2, 32).half()
    packed = {name: mx.array(t.numpy()) for name, t in reference.pack(settings, q, zeros, s, index).items()}
    wide = index.numpy().astype(np.int64)
    wide[7] = value
    with pytest.raises(MalformedCheckpoint) as caught:
        mlx_quant.dequantize(settings, packed | {"g_idx": mx.array(wide)})
    assert caught.value.code == "group-index-out-of-range"


@pytest.mark.parametrize("manner", ["replaced", "rewritten", "gone"])
def test_a_source_that_changes_under_a_conversion_is_refused(
    copy: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manner: str
) -> None:
    source = copy(GPTQ)
    original = mlx_quant.Checkpoint.decode
    seen = set[str]()

    def meddled(self: Any, name: str) -> Any:
        weight, done = original(self, name), name in seen
        seen.add(name)
        # Once it is planned with, and then decoded.
        if done and name.endswith("layers.1.mlp.up_proj"):
            data = source.weights.read_bytes()
            if manner == "replaced":
                (tmp_path / "new").write_bytes(data)
                os.replace(tmp_path / "new", source.weights)
            elif manner == "rewritten":
                os.utime(source.weights, ns=(1, 1))
            else:
                source.weights.unlink()
        return weight

    monkeypatch.setattr(mlx_quant.Checkpoint, "decode", meddled)
    with pytest.raises(mlx_quant.QuantError) as caught:
        convert(source.path, tmp_path / "out", target="dense", progress=False)
    assert caught.value.code in ({"source-changed", "missing-file"} if manner == "gone" else {"source-changed"})
    assert not (tmp_path / "out").exists()


def test_generation_ends_where_generation_config_says(copy: Copy) -> None:
    source = copy(GPTQ)
    source.write_json({"eos_token_id": [7, 11]}, "generation_config.json")
    _, tokenizer = load(source.path)
    _, expected = mlx_lm_load(source.path)
    assert tokenizer.eos_token_ids == expected.eos_token_ids
    assert tokenizer.eos_token_ids >= {7, 11}


def mlx_lm_load(folder: Path) -> tuple[Any, Any]:
    """mlx-lm's own answer for the converted folder."""
    convert(folder, folder.parent / "plain", progress=False)
    return mlx_lm.load(str(folder.parent / "plain"))


def test_flat_keys_beside_per_layer_rope_parameters(copy: Copy, tmp_path: Path) -> None:
    """transformers reads the nested ones alone; so do others when nothing stands beside them."""
    source = copy(GPTQ)
    nested = {
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 5e3},
    }
    source.configure(rope_theta=None, rope_scaling=None, rope_parameters=nested | {"rope_theta": 1e4})
    convert(source.path, tmp_path / "out", progress=False)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["rope_theta"], config["rope_local_base_freq"]) == (1e6, 5e3)
    assert config["rope_scaling"]["rope_type"] == "linear"
    assert config["rope_parameters"] == nested
