"""A mixture of experts: mlx-lm renames and stacks the modules, and AutoGPTQ gives each a bias that nothing loads."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm.utils
import pytest
import torch
from safetensors.torch import save_file

import reference
from mlx_quant import ConversionError, MalformedCheckpoint, convert

HIDDEN, INNER, EXPERTS, GROUP = 64, 96, 4, 32
SHAPES = {f"self_attn.{name}_proj": (HIDDEN, HIDDEN) for name in "qkvo"} | {
    f"block_sparse_moe.experts.{expert}.{name}": (HIDDEN, INNER) if name == "w2" else (INNER, HIDDEN)
    for expert in range(EXPERTS)
    for name in ("w1", "w2", "w3")
}
QUANTIZATION = {"quant_method": "gptq", "bits": 4, "group_size": GROUP, "sym": False, "desc_act": False}
EXPERT = "model.layers.0.block_sparse_moe.experts.3.w1"

Change = Callable[[dict[str, torch.Tensor]], Any]


def write_mixtral(
    folder: Path,
    change: Change = lambda _: None,
    widths: Mapping[str, int] | None = None,
    settings: Mapping[str, Any] = QUANTIZATION,
) -> dict[str, torch.Tensor]:
    """A Mixtral of one layer, packed by the reference; returns the dense weights by their source names."""
    generator = torch.Generator().manual_seed(5)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).half()

    tensors, dense = {}, {}
    for name, (out, inputs) in SHAPES.items():
        module = f"model.layers.0.{name}"
        bits = (widths or {}).get(name.rpartition(".")[2], 4)
        config = QUANTIZATION | {"bits": bits}
        q = torch.randint(0, 2**bits, (out, inputs), generator=generator, dtype=torch.int32)
        z = torch.randint(0, 2**bits, (inputs // GROUP, out), generator=generator, dtype=torch.int32)
        packed = reference.pack(config, q, z, random(inputs // GROUP, out), torch.arange(inputs) // GROUP)
        dense[module] = reference.dequantize(config, packed)
        tensors |= {f"{module}.{leaf}": tensor for leaf, tensor in packed.items()}
        tensors[f"{module}.bias"] = torch.zeros(out).half()
    tensors["model.layers.0.block_sparse_moe.gate.weight"] = random(EXPERTS, HIDDEN)
    for name in ("layers.0.input_layernorm", "layers.0.post_attention_layernorm", "norm"):
        tensors[f"model.{name}.weight"] = random(HIDDEN)
    tensors["model.embed_tokens.weight"], tensors["lm_head.weight"] = random(32, HIDDEN), random(32, HIDDEN)
    change(tensors)
    folder.mkdir()
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors")
    config = {
        "model_type": "mixtral",
        "vocab_size": 32,
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "num_local_experts": EXPERTS,
        "rope_theta": 1e6,
        "quantization_config": dict(settings),
    }
    (folder / "config.json").write_text(json.dumps(config))
    return dense


def stacked(dense: dict[str, torch.Tensor], name: str) -> list[Any]:
    parts = [dense[f"model.layers.0.block_sparse_moe.experts.{expert}.{name}"] for expert in range(EXPERTS)]
    return torch.stack(parts).tolist()


def test_experts_are_decoded_and_their_empty_biases_dropped(tmp_path: Path) -> None:
    dense = write_mixtral(tmp_path / "source")
    report = convert(tmp_path / "source", tmp_path / "out", progress=False)
    assert len(report.dropped) == len(SHAPES)
    model, _ = mlx_lm.utils.load_model(tmp_path / "out")
    experts = model.model.layers[0].block_sparse_moe.switch_mlp
    assert experts.gate_proj.weight.tolist() == stacked(dense, "w1")
    assert experts.down_proj.weight.tolist() == stacked(dense, "w2")


@pytest.mark.parametrize("target", ["affine", "auto"])
def test_experts_stay_packed(tmp_path: Path, target: Any) -> None:
    dense = write_mixtral(tmp_path / "source")
    report = convert(tmp_path / "source", tmp_path / "out", target=target, params_dtype="float32", progress=False)
    assert len(report.affine) == len(SHAPES)
    model, _ = mlx_lm.utils.load_model(tmp_path / "out")
    layer = model.model.layers[0].block_sparse_moe.switch_mlp.up_proj
    assert type(layer).__name__ == "QuantizedSwitchLinear"
    exact = mx.dequantize(layer.weight, layer.scales, layer.biases, group_size=layer.group_size, bits=layer.bits)
    assert exact.astype(mx.float16).tolist() == stacked(dense, "w3")


def test_experts_of_which_one_cannot_be_packed(tmp_path: Path) -> None:
    """mlx-lm stacks the experts of a layer, so they are packed together or not at all."""
    shuffle: Change = lambda tensors: tensors.update({f"{EXPERT}.g_idx": tensors[f"{EXPERT}.g_idx"].flip(0)})  # noqa: E731
    write_mixtral(tmp_path / "source", shuffle)
    with pytest.raises(ConversionError) as caught:
        convert(tmp_path / "source", tmp_path / "out", target="affine", progress=False)
    assert caught.value.code == "bad-target"
    report = convert(tmp_path / "source", tmp_path / "out", target="auto", progress=False)
    assert report.target == "dense"
    mlx_lm.utils.load_model(tmp_path / "out")


def test_a_bias_of_an_expert_that_is_not_zero_is_an_error(tmp_path: Path) -> None:
    write_mixtral(tmp_path / "source", lambda tensors: tensors[f"{EXPERT}.bias"].fill_(1))
    with pytest.raises(MalformedCheckpoint) as caught:
        convert(tmp_path / "source", tmp_path / "out", progress=False)
    assert caught.value.code == "unsupported-bias"
    assert EXPERT in str(caught.value)


def test_an_expert_that_is_missing_is_an_error(tmp_path: Path) -> None:
    def remove(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if name.startswith(f"{EXPERT}.")]:
            del tensors[name]

    write_mixtral(tmp_path / "source", remove)
    with pytest.raises(Exception, match="unsupported-architecture"):
        convert(tmp_path / "source", tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_parameters_of_experts_are_told_by_the_names_of_mlx_lm(tmp_path: Path) -> None:
    """One stack in 8 bits among stacks in 4: config.json must name the stack, not the experts it was made of."""
    wide = r".*experts\.\d+\.w2"
    settings = QUANTIZATION | {"dynamic": {wide: {"bits": 8}}}
    dense = write_mixtral(tmp_path / "source", widths={"w2": 8}, settings=settings)
    convert(tmp_path / "source", tmp_path / "out", target="affine", params_dtype="float32", progress=False)
    quantization = json.loads((tmp_path / "out" / "config.json").read_text())["quantization"]
    stack = "model.layers.0.block_sparse_moe.switch_mlp.down_proj"
    assert {name: value for name, value in quantization.items() if isinstance(value, dict)} == {
        stack: {"group_size": GROUP, "bits": 8, "mode": "affine"}
    }
    model, _ = mlx_lm.utils.load_model(tmp_path / "out")
    layer = model.model.layers[0].block_sparse_moe.switch_mlp.down_proj
    exact = mx.dequantize(layer.weight, layer.scales, layer.biases, group_size=layer.group_size, bits=layer.bits)
    assert exact.astype(mx.float16).tolist() == stacked(dense, "w2")
