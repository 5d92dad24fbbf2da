"""Floats that MLX holds packed: gpt-oss's stacks of experts, and experts that mlx-lm stacks as it loads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm
import mlx_lm.utils
import numpy as np
import pytest
from mlx.utils import tree_flatten

import mlx_quant
from mlx_quant import Checkpoint, convert, load
from tests.conftest import stored
from tests.running.test_run import generate, recited

GPT_OSS, QWEN2, NVFP4 = "gpt-oss-mxfp4", "qwen2-ct-mxfp4", "qwen2-modelopt-nvfp4-fp8"
GATE_UP = "model.layers.0.mlp.experts.gate_up_proj"


@pytest.fixture(autouse=True)
def _interpreted() -> Iterator[None]:
    """On a CPU, MLX compiles with the machine's C++ compiler, which takes longer than these few steps."""
    mx.disable_compile()
    yield
    mx.enable_compile()


def parameters(model: Any) -> dict[str, Any]:
    return {name: np.array(array.view(mx.uint8)).tobytes() for name, array in tree_flatten(model.parameters())}


def logits(model: Any, ids: list[int]) -> Any:
    """In float32: MLX's CPU has no products of gathered matrices in half precision."""
    model.set_dtype(mx.float32)
    return np.array(model(mx.array([ids]))[0])


def recital() -> list[int]:
    ids: list[int] = json.loads(stored("recital_ids.json").read_text())
    return ids[:160]


def test_gpt_oss_is_loaded_packed_as_mlx_lm_itself_packs_it() -> None:
    model, _ = load(stored(GPT_OSS))
    assert model._conversion.target == "affine"
    assert model._conversion.exact == ("4 modules packed: codes and scales are kept, and nothing is rounded",)
    theirs, _ = mlx_lm.utils.load_model(stored(GPT_OSS))
    assert parameters(model) == parameters(theirs)


def test_packed_and_dense_gpt_oss_have_the_same_logits_and_recite(tmp_path: Path) -> None:
    ids = recital()
    found = {}
    for target in ("dense", "affine"):
        report = convert(stored(GPT_OSS), tmp_path / target, target=target, progress=False)  # type: ignore[arg-type]
        assert (len(report.dense), len(report.affine)) == ((4, 0) if target == "dense" else (0, 4))
        model, _ = mlx_lm.load(str(tmp_path / target))
        experts = model.model.layers[0].mlp.experts
        assert hasattr(experts.gate_proj, "scales") == (target == "affine")
        found[target] = logits(model, ids)
    assert np.abs(found["dense"] - found["affine"]).max() < 1e-3
    guessed = found["affine"].argmax(axis=-1)
    assert (guessed[24:-1] == ids[25:]).mean() > 0.97


def test_rows_of_gate_and_up_that_lie_in_turn_are_told_apart(tmp_path: Path) -> None:
    convert(stored(GPT_OSS), tmp_path / "out", progress=False)
    dense = Checkpoint.open(stored(GPT_OSS)).dequantize(GATE_UP)
    experts = mlx_lm.load(str(tmp_path / "out"))[0].model.layers[0].mlp.experts
    assert mx.array_equal(experts.gate_proj.weight, dense[:, ::2])
    assert mx.array_equal(experts.up_proj.weight, dense[:, 1::2])


@pytest.mark.parametrize("name", [GPT_OSS, QWEN2])
def test_mlx_lm_s_own_command_recites_it(name: str) -> None:
    assert recited(generate(stored(name))[0])


def test_a_program_that_knows_mlx_lm_alone_gets_ours() -> None:
    with mlx_quant.enabled():
        model, _ = mlx_lm.load(str(stored(GPT_OSS)))
    assert model._conversion.target == "affine"


def test_a_matrix_of_compressed_tensors_stays_packed() -> None:
    model, _ = load(stored(QWEN2))
    assert model._conversion.target == "affine"
    layer = model.model.layers[0].mlp.gate_proj
    assert (layer.mode, layer.bits, layer.group_size) == ("mxfp4", 4, 32)


def test_nvfp4_beside_fp8_is_decoded_and_recites() -> None:
    """Its matrices have scales of their own, which mlx-lm's linear layers do not take."""
    assert recited(generate(stored(NVFP4))[0])
    model, _ = load(stored(NVFP4))
    assert (model._conversion.target, len(model._conversion.dense)) == ("dense", 14)
    why = Checkpoint.open(stored(NVFP4)).examine("model.layers.0.mlp.gate_proj").not_native
    assert "no scale of the whole matrix" in str(why)


@pytest.mark.parametrize(("mode", "size", "bounds"), [("mxfp4", 32, (115, 125)), ("nvfp4", 16, (0x20, 0x50))])
def test_experts_by_their_own_names_are_stacked_packed(
    tmp_path: Path, mode: str, size: int, bounds: tuple[int, int]
) -> None:
    """As llm-compressor writes experts: a module each, which mlx-lm stacks as it loads."""
    rng = np.random.default_rng(7)
    hidden, inner, count = 64, 96, 4

    def floats(*shape: int) -> mx.array:
        return mx.array(rng.standard_normal(shape).astype(np.float32)).astype(mx.bfloat16)

    tensors: dict[str, mx.array] = {
        f"model.layers.0.block_sparse_moe.experts.{expert}.{name}.{leaf}": mx.array(
            rng.integers(*drawn, (out, inputs // divisor)).astype(np.uint8)
        )
        for expert in range(count)
        for name, (out, inputs) in {"w1": (inner, hidden), "w2": (hidden, inner), "w3": (inner, hidden)}.items()
        for leaf, drawn, divisor in (("weight_packed", (0, 256), 2), ("weight_scale", bounds, size))
    }
    if mode == "nvfp4":
        packed = [name.removesuffix("packed") for name in tensors if name.endswith("packed")]
        tensors |= {f"{name}global_scale": mx.ones(1) for name in packed}
    plain = {f"self_attn.{name}_proj": (hidden, hidden) for name in "qkvo"}
    plain |= {"block_sparse_moe.gate": (count, hidden), "input_layernorm": (hidden,)}
    plain |= {"post_attention_layernorm": (hidden,)}
    tensors |= {f"model.layers.0.{name}.weight": floats(*shape) for name, shape in plain.items()}
    tensors |= {"model.norm.weight": floats(hidden), "lm_head.weight": floats(32, hidden)}
    tensors["model.embed_tokens.weight"] = floats(32, hidden)
    weights = {"num_bits": 4, "type": "float", "strategy": "group", "group_size": size}
    groups = {"group_0": {"targets": ["Linear"], "weights": weights}}
    settings = {"quant_method": "compressed-tensors", "format": f"{mode}-pack-quantized", "config_groups": groups}
    config = {
        "model_type": "mixtral",
        "vocab_size": 32,
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "num_local_experts": count,
        "quantization_config": settings,
    }
    source = tmp_path / "source"
    source.mkdir()
    mx.save_safetensors(str(source / "model.safetensors"), tensors)
    (source / "config.json").write_text(json.dumps(config))
    report = convert(source, tmp_path / "out", target="affine", progress=False)
    assert (len(report.affine), report.not_affine) == (12, {})
    found = mlx_lm.utils.load_model(tmp_path / "out")[0].model.layers[0].block_sparse_moe.switch_mlp.down_proj
    assert (found.mode, found.group_size, found.weight.shape) == (mode, size, (count, hidden, inner // 8))
    dense = mx.dequantize(found.weight, found.scales, group_size=size, bits=4, mode=mode)
    opened = Checkpoint.open(source)
    for expert in range(count):
        own = opened.dequantize(f"model.layers.0.block_sparse_moe.experts.{expert}.w2")
        assert mx.array_equal(dense[expert], own)
