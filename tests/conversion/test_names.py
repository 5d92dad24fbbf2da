"""Checkpoints whose producer took the model apart, under names that only itself reads: GPTQModel 7's."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm.utils
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import mlx_quant
import reference
from mlx_quant import UnsupportedFormat, convert
from mlx_quant.checkpoint.checkpoint import Checkpoint
from mlx_quant.conversion.names import as_mlx_lm_names
from mlx_quant.files.folder import Folder
from mlx_quant.models.config import config_for
from mlx_quant.running.converted import Converted
from mlx_quant.running.way import Way
from tests.conftest import ROOT
from tests.conversion import tiny_models
from tests.conversion.test_convert_experts import write_mixtral

PHI = {
    "model_type": "phi3",
    "vocab_size": 64,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
}
OSS = {
    "model_type": "gpt_oss",
    "vocab_size": 64,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "num_local_experts": 12,
    "num_experts_per_tok": 2,
    "sliding_window": 16,
    "rope_theta": 10000.0,
    "layer_types": ["sliding_attention", "full_attention"],
}
# By defuser 0.0.28's table for Mixtral, ``model_registry.py``.
DEFUSED = {"w1": "gate_proj", "w2": "down_proj", "w3": "up_proj", "block_sparse_moe": "mlp"}
GATE_UP = "model.layers.0.mlp.gate_up_proj"
EXPERTS = "model.layers.{}.mlp.experts"

Tensors = dict[str, torch.Tensor]
Change = Callable[[Tensors], Any]


def defused(tensors: Tensors) -> None:
    for name in list(tensors):
        *path, leaf = name.split(".")
        tensors[".".join([*(DEFUSED.get(part, part) for part in path), leaf])] = tensors.pop(name)


def test_what_is_read_ahead_for_a_plan_is_used_in_it(tmp_path: Path) -> None:
    """By the names that files have, of which several may be one module: else it would stay in memory."""
    write_mixtral(tmp_path / "theirs", defused)
    checkpoint = Checkpoint.open(tmp_path / "theirs")
    renamed = as_mlx_lm_names(checkpoint, checkpoint.config)
    assert renamed is not checkpoint
    asked = {name: renamed.examine(name) for name in renamed.modules}
    renamed._forget()
    checkpoint._forget()
    assert renamed.examine_all(renamed.modules) == asked
    assert not checkpoint._ahead


@pytest.mark.parametrize("target", ["dense", "affine"])
def test_mixtral_taken_apart_is_mixtral(tmp_path: Path, target: Any) -> None:
    write_mixtral(tmp_path / "own")
    write_mixtral(tmp_path / "theirs", defused)
    assert any(".mlp.experts.3.gate_proj." in name for name in load_file(tmp_path / "theirs" / "model.safetensors"))
    for name in ("own", "theirs"):
        convert(tmp_path / name, tmp_path / f"{name}-mlx", target=target, progress=False)
    own, theirs = (load_file(tmp_path / f"{name}-mlx" / "model.safetensors") for name in ("own", "theirs"))
    assert own.keys() == theirs.keys()
    assert all(torch.equal(own[name], theirs[name]) for name in own)


def halved(tensors: Tensors, dense: Tensors, change: Change = lambda _: None) -> None:
    """``gate_up_proj`` cut between its rows, as GPTQModel quantises it: gate above up."""
    whole = {leaf: tensors.pop(f"{GATE_UP}.{leaf}") for leaf in ("qweight", "qzeros", "scales", "g_idx")}
    for half, name in enumerate(("gate", "up")):
        for leaf, tensor in whole.items():
            parts = (tensor, tensor) if leaf == "g_idx" else tensor.chunk(2, dim=1)
            tensors[f"{GATE_UP.replace('gate_up', name)}.{leaf}"] = parts[half].clone()
    change(tensors)


def write_phi(folder: Path, change: Change = lambda _: None) -> Tensors:
    dense = tiny_models.write(folder, PHI)
    tensors = load_file(folder / "model.safetensors")
    halved(tensors, dense, change)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors")
    return dense


def test_rows_below_one_another(tmp_path: Path) -> None:
    dense = write_phi(tmp_path / "source")
    due = tiny_models.logits(PHI, dense)
    report = convert(tmp_path / "source", tmp_path / "dense", progress=False)
    assert f"{GATE_UP}" in report.dense
    model, _ = mlx_lm.utils.load_model(tmp_path / "dense")
    assert model.model.layers[0].mlp.gate_up_proj.weight.tolist() == dense[f"{GATE_UP}.weight"].tolist()
    assert np.array_equal(tiny_models.ran(model), due)
    report = convert(tmp_path / "source", tmp_path / "packed", target="affine", params_dtype="float32", progress=False)
    assert (GATE_UP in report.affine, report.not_affine) == (True, {})
    layer = mlx_lm.utils.load_model(tmp_path / "packed")[0].model.layers[0].mlp.gate_up_proj
    exact = mx.dequantize(layer.weight, layer.scales, layer.biases, group_size=layer.group_size, bits=layer.bits)
    assert exact.astype(mx.float16).tolist() == dense[f"{GATE_UP}.weight"].tolist()


@pytest.mark.parametrize("alike", [True, False])
def test_rows_with_orders_of_their_own(tmp_path: Path, alike: bool) -> None:
    """One matrix has one order of inputs: where that of two parts differs, it is dense."""

    def shuffle(tensors: Tensors) -> None:
        for name, seed in (("gate", 1), ("up", 1 if alike else 2)):
            index = tensors[f"{GATE_UP.replace('gate_up', name)}.g_idx"]
            order = torch.randperm(index.numel(), generator=torch.Generator().manual_seed(seed))
            tensors[f"{GATE_UP.replace('gate_up', name)}.g_idx"] = index[order]

    write_phi(tmp_path / "source", shuffle)
    packed = load_file(tmp_path / "source" / "model.safetensors")
    due = []
    for name in ("gate", "up"):
        module = GATE_UP.replace("gate_up", name)
        parts = {leaf: packed[f"{module}.{leaf}"] for leaf in ("qweight", "qzeros", "scales", "g_idx")}
        due += reference.dequantize(tiny_models.QUANTIZATION, parts).tolist()
    report = convert(tmp_path / "source", tmp_path / "out", target="affine", permute=True, progress=False)
    assert (GATE_UP in report.permuted) == alike
    assert ("differ in it" in report.not_affine.get(GATE_UP, "")) != alike
    convert(tmp_path / "source", tmp_path / "dense", progress=False)
    model, _ = mlx_lm.utils.load_model(tmp_path / "dense")
    assert model.model.layers[0].mlp.gate_up_proj.weight.tolist() == due
    inputs = mx.random.normal((3, 64), key=mx.random.key(0))
    if alike:
        packed_model, _ = Converted(Folder(tmp_path / "out")).model(Way(), adapter_path=None, lazy=False, name="")
    else:
        packed_model, _ = mlx_lm.utils.load_model(tmp_path / "out")
    packed_model.set_dtype(mx.float32)
    found = packed_model.model.layers[0].mlp.gate_up_proj(inputs)
    assert mx.allclose(found, inputs @ mx.array(due).T, rtol=1e-3, atol=1e-3).item()


def missing(tensors: Tensors) -> None:
    for leaf in ("qweight", "qzeros", "scales", "g_idx"):
        del tensors[f"{GATE_UP.replace('gate_up', 'up')}.{leaf}"]


def half_dense(tensors: Tensors) -> None:
    missing(tensors)
    tensors[f"{GATE_UP.replace('gate_up', 'up')}.weight"] = torch.zeros(96, 64).half()


def both(tensors: Tensors) -> None:
    tensors[f"{GATE_UP}.weight"] = torch.zeros(192, 64).half()


def without_an_axis(tensors: Tensors) -> None:
    for name in ("gate", "up"):
        tensors[f"{GATE_UP.replace('gate_up', name)}.bias"] = torch.tensor(0.0).half()


def of_two_dtypes(tensors: Tensors) -> None:
    for name, dtype in (("gate", torch.float16), ("up", torch.float32)):
        tensors[f"{GATE_UP.replace('gate_up', name)}.bias"] = torch.zeros(96, dtype=dtype)


@pytest.mark.parametrize("change", [missing, half_dense, both, without_an_axis, of_two_dtypes])
def test_what_does_not_come_together_is_refused(tmp_path: Path, change: Change) -> None:
    write_phi(tmp_path / "source", change)
    with pytest.raises(UnsupportedFormat) as caught:
        convert(tmp_path / "source", tmp_path / "out", progress=False)
    assert caught.value.code == "unsupported-architecture"
    assert "gate_proj" in str(caught.value)


def test_experts_are_stacked_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    """Twelve of them: in the order of letters, 10 would come before 2."""
    generator = torch.Generator().manual_seed(9)
    dense: dict[str, list[Any]] = {}
    besides: Tensors = {}
    for layer in range(2):
        for expert in range(OSS["num_local_experts"]):
            for name, (out, inputs) in {"gate": (96, 64), "up": (96, 64), "down": (64, 96)}.items():
                module, stack = f"{EXPERTS.format(layer)}.{expert}.{name}_proj", f"{EXPERTS.format(layer)}.{name}_proj"
                tensors = tiny_models.packed(out, inputs, generator)
                bias = torch.randn(out, generator=generator).half()
                besides |= {f"{module}.{leaf}": tensor for leaf, tensor in tensors.items()} | {f"{module}.bias": bias}
                matrix = reference.dequantize(tiny_models.QUANTIZATION, tensors)
                dense.setdefault(f"{stack}.weight", []).append(matrix)
                dense.setdefault(f"{stack}.bias", []).append(bias)
    tiny_models.write(tmp_path / "source", OSS, without=tuple(dense), besides=besides)
    for target in ("dense", "affine"):
        convert(tmp_path / "source", tmp_path / target, target=target, params_dtype="float32", progress=False)
        model, _ = mlx_lm.utils.load_model(tmp_path / target)
        layers = dict(model.named_modules())
        for name, parts in dense.items():
            module, _, leaf = name.rpartition(".")
            found = layers[module][leaf]
            if target == "affine" and leaf == "weight":
                sizes = {"group_size": layers[module].group_size, "bits": layers[module].bits}
                found = mx.dequantize(found, layers[module].scales, layers[module].biases, **sizes).astype(mx.float16)
            assert found.tolist() == torch.stack(parts).tolist()


GEMMA = {
    "model_type": "gemma3_text",
    "layer_types": ["sliding_attention", "full_attention"],
    "num_hidden_layers": 2,
    "rope_parameters": {
        "full_attention": {"rope_theta": 1e6, "rope_type": "default"},
        "sliding_attention": {"rope_theta": 5e3, "rope_type": "default"},
        "rope_theta": {"global": 2e6, "local": 1e4},
        "rope_type": "default",
    },
}


@pytest.mark.parametrize("above", [{}, {"rope_theta": {"global": 2e6, "local": 1e4}}])
def test_thetas_of_gemma_3_as_transformers_takes_them(above: dict[str, Any]) -> None:
    from transformers import CONFIG_MAPPING

    meant = CONFIG_MAPPING["gemma3_text"].from_dict(GEMMA | above).rope_parameters
    found = config_for(GEMMA | above)
    assert found["rope_theta"] == meant["full_attention"]["rope_theta"] == 1e6
    assert found["rope_local_base_freq"] == meant["sliding_attention"]["rope_theta"] == 5e3
    assert found["sliding_window_pattern"] == 2


def test_two_thetas_without_parameters_of_layers() -> None:
    found = config_for({"model_type": "gemma3_text", "rope_theta": {"global": 3e5, "local": 2e4}})
    assert (found["rope_theta"], found["rope_local_base_freq"]) == (3e5, 2e4)


@pytest.mark.parametrize(
    ("config", "code"),
    [
        (GEMMA | {"rope_theta": 7e5}, "config-contradiction"),
        ({"model_type": "llama", "rope_parameters": {"rope_theta": {"global": 1.0, "local": 2.0}}}, "bad-config-value"),
        (GEMMA | {"layer_types": ["full_attention", "sliding_attention"]}, "unsupported-architecture"),
        (
            {
                "model_type": "gemma4_text",
                "layer_types": ["sliding_attention", "full_attention"],
                "per_layer_config": {"0": {"head_dim": 64}},
            },
            "unsupported-architecture",
        ),
    ],
)
def test_configs_that_say_two_things(config: dict[str, Any], code: str) -> None:
    with pytest.raises(mlx_quant.QuantError) as caught:
        config_for(config)
    assert caught.value.code == code


@pytest.mark.parametrize("width", [None, 64, 128])
def test_heads_of_gemma_4_by_layer(width: int | None) -> None:
    """What transformers 5.24 writes for a global_head_dim, or for one that is that of all layers."""
    from transformers import CONFIG_MAPPING

    kind = CONFIG_MAPPING["gemma4_text"]
    said = {
        "head_dim": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "hidden_size": 64,
        "layer_types": ["sliding_attention", "full_attention"],
    } | ({"global_head_dim": width} if width else {})
    written = kind(**said).to_dict()
    if "per_layer_config" not in written:
        pytest.skip("this transformers writes global_head_dim")
    found = config_for({**written, "model_type": "gemma4_text"})
    assert found["global_head_dim"] == (width or 512)


@pytest.mark.parametrize(
    ("types", "pattern"), [("LLLGLLLG", "LLLG"), ("LG", "LG"), ("LLLGL", "LLLG"), ("LLGG", "LLGG")]
)
def test_the_pattern_of_exaone_4_in_letters(types: str, pattern: str) -> None:
    names = {"L": "sliding_attention", "G": "full_attention"}
    config = {"model_type": "exaone4", "sliding_window": 32, "layer_types": [names[letter] for letter in types]}
    found = config_for(config | {"sliding_window_pattern": 4})["sliding_window_pattern"]
    assert found == pattern
    assert [found[layer % len(found)] for layer in range(len(types))] == list(types)


def test_a_model_that_has_packed_layers_of_its_own_is_refused_as_such(tmp_path: Path) -> None:
    """BitNetForCausalLM: mlx-lm reads its ternary weights with kernels for Metal, and has no dense place for them."""
    source = ROOT / "fixtures" / "bitnet" / "models" / "qwen2-bitlinear"
    shutil.copytree(source, tmp_path / "source")
    config = json.loads((source / "config.json").read_text()) | {"model_type": "bitnet"}
    (tmp_path / "source" / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnsupportedFormat, match="a packed layer of its own") as caught:
        convert(tmp_path / "source", tmp_path / "out", progress=False)
    assert caught.value.code == "unsupported-architecture"
