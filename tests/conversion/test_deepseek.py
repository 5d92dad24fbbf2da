"""DeepSeek V4's own layout: a tiny V4.1 under the names of its release, against what mlx-lm's own reader makes of it.

mlx-lm 0.32.2 has V4.1 and repacks such tensors as it loads; of V4 it has no model. No producer of the FP4 codes runs
here: codes and scales are drawn.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm.utils
import numpy as np
import pytest
from mlx.utils import tree_flatten

from conformance.bits.array import Array
from conformance.bits.safetensors_file import read_safetensors, write_safetensors
from conformance.formats.module import full_name
from mlx_quant import Checkpoint, MalformedCheckpoint, convert

pytest.importorskip("mlx_lm.models.deepseek_v41", reason="this mlx-lm has no DeepSeek V4.1")

CONFIG: dict[str, Any] = {
    "architectures": ["DeepseekV41ForCausalLM"],
    "model_type": "deepseek_v41",
    "vocab_size": 96,
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "head_dim": 64,
    "q_lora_rank": 32,
    "qk_rope_head_dim": 32,
    "o_groups": 2,
    "o_lora_rank": 32,
    "moe_intermediate_size": 64,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "sliding_window": 8,
    "compress_ratios": [0, 1, 2],
    "kv_source_layer_ids": [1, 2],
    "index_source_layer_ids": [1, 2],
    "index_n_heads": 2,
    "index_head_dim": 32,
    "index_topk": 4,
    "hc_mult": 2,
    "max_position_embeddings": 256,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "quantization_config": {
        "quant_method": "fp8",
        "activation_scheme": "dynamic",
        "fmt": "e4m3",
        "scale_fmt": "ue8m0",
        "weight_block_size": [32, 32],
        "expert_dtype": "fp4",
    },
}
EXPERTS = tuple(f"ffn.experts.{expert}.w{number}" for expert in range(4) for number in (1, 2, 3))
FP8 = {
    "attn.wq_a": (32, 64),
    "attn.wq_b": (256, 32),
    "attn.wkv": (64, 64),
    "attn.wo_a": (64, 128),
    "attn.wo_b": (64, 64),
    **{f"ffn.shared_experts.w{number}": (64, 64) for number in (1, 2, 3)},
}
INDEXER = {"attn.indexer.wq_b": (64, 32)}
PLAIN: dict[str, tuple[tuple[int, ...], str]] = {
    "attn.attn_sink": ((4,), "float32"),
    "attn.q_norm.weight": ((32,), "bfloat16"),
    "attn.kv_norm.weight": ((64,), "bfloat16"),
    "attn_norm.weight": ((64,), "bfloat16"),
    "ffn_norm.weight": ((64,), "bfloat16"),
    "ffn.gate.weight": ((4, 64), "bfloat16"),
    "ffn.gate.bias": ((4,), "float32"),
    **{f"hc_{part}_fn": ((8, 128), "float32") for part in ("attn", "ffn")},
    **{f"hc_{part}_base": ((8,), "float32") for part in ("attn", "ffn")},
    **{f"hc_{part}_scale": ((3,), "float32") for part in ("attn", "ffn")},
}
COMPRESSED: dict[str, tuple[tuple[int, ...], str]] = {
    "attn.compressor.wkv.weight": ((64, 64), "bfloat16"),
    "attn.compressor.norm.weight": ((64,), "bfloat16"),
    "attn.indexer.weights_proj.weight": ((2, 64), "bfloat16"),
    "attn.indexer.wk.weight": ((32, 64), "bfloat16"),
    "attn.indexer.k_norm.weight": ((32,), "bfloat16"),
}


@pytest.fixture(autouse=True)
def _interpreted() -> Iterator[None]:
    mx.disable_compile()
    yield
    mx.enable_compile()


def floats(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Array:
    values = np.asarray(rng.standard_normal(shape) * 0.1 + (1 if len(shape) == 1 else 0), np.float32)
    return Array.of(values) if dtype == "float32" else Array(dtype, (values.view(np.uint32) >> 16).astype(np.uint16))


def eights(rng: np.random.Generator, out: int, inputs: int) -> dict[str, Array]:
    codes = rng.integers(0, 0x40, (out, inputs)) | rng.integers(0, 2, (out, inputs)) << 7
    bytes_ = rng.integers(121, 124, (-(-out // 32), -(-inputs // 32)))
    return {
        "weight": Array("float8_e4m3fn", codes.astype(np.uint8)),
        "scale": Array("float8_e8m0fnu", bytes_.astype(np.uint8)),
    }


def fours(rng: np.random.Generator, out: int, inputs: int) -> dict[str, Array]:
    codes = rng.integers(-128, 128, (out, inputs // 2)).astype(np.int8)
    bytes_ = rng.integers(121, 124, (out, inputs // 32)).astype(np.uint8)
    return {"weight": Array("int8", codes), "scale": Array("float8_e8m0fnu", bytes_)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(41)
    tensors = {
        "embed.weight": floats(rng, (96, 64), "bfloat16"),
        "head.weight": floats(rng, (96, 64), "bfloat16"),
        "norm.weight": floats(rng, (64,), "bfloat16"),
    }
    for number in range(3):
        layer, further = f"layers.{number}", number > 0
        packed = {name: eights(rng, *shape) for name, shape in (FP8 | (INDEXER if further else {})).items()}
        packed |= {name: fours(rng, 64, 64) for name in EXPERTS}
        for name, module in packed.items():
            tensors |= {full_name(f"{layer}.{name}", leaf): array for leaf, array in module.items()}
        for name, (shape, dtype) in (PLAIN | (COMPRESSED if further else {})).items():
            tensors[f"{layer}.{name}"] = floats(rng, shape, dtype)
    tensors["layers.2.attn.compressor.wgate.weight"] = floats(rng, (64, 64), "bfloat16")
    written = tmp_path / "tiny"
    written.mkdir()
    (written / "config.json").write_text(json.dumps(CONFIG))
    (written / "model.safetensors").write_bytes(write_safetensors(tensors, {"format": "pt"}))
    return written


def logits(model: Any) -> Any:
    model.set_dtype(mx.float32)
    return np.array(model(mx.array([[3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8]]))[0])


def test_experts_are_told_from_the_other_modules_by_their_codes(folder: Path) -> None:
    opened = Checkpoint.open(folder)
    found = {name: module.scheme.packing for name, module in opened.modules.items()}
    assert len(found) == 3 * (12 + 8) + 2
    assert {name for name, packing in found.items() if packing == "mxfp4"} == {
        f"layers.{number}.{name}" for number in range(3) for name in EXPERTS
    }
    assert "layers.0.hc_attn_scale" in opened.plain


@pytest.mark.filterwarnings("ignore::mlx_quant.QuantWarning")
def test_it_is_converted_to_what_mlx_lm_itself_makes_of_it(folder: Path, tmp_path: Path) -> None:
    theirs, _ = mlx_lm.utils.load_model(folder)
    expected = dict(tree_flatten(theirs.parameters()))
    modes = {name: (module.mode, module.bits) for name, module in theirs.named_modules() if hasattr(module, "mode")}
    report = convert(folder, tmp_path / "affine", target="affine", progress=False)
    # mlx-lm's reader knows experts by the names of the release alone, and cuts wo_a apart.
    assert (len(report.affine), len(report.dense)) == (3 * 7 + 2, 3 * 13)
    ours, _ = mlx_lm.utils.load_model(tmp_path / "affine")
    found = dict(tree_flatten(ours.parameters()))
    assert {mode for mode, _ in modes.values()} == {"mxfp8", "mxfp4"}
    packed = 0
    for name, array in found.items():
        owner = name.rpartition(".")[0]
        if name in expected and (owner not in modes or f"{owner}.scales" in found):
            packed += name.endswith(".scales")
            assert np.array_equal(np.array(array.view(mx.uint8)), np.array(expected[name].view(mx.uint8))), name
            continue
        mode, width = modes[owner]
        given = expected[name], expected[f"{owner}.scales"]
        dense = mx.dequantize(*given, group_size=32, bits=width, mode=mode, dtype=mx.bfloat16)
        assert np.array_equal(np.array(array.view(mx.uint16)), np.array(dense.view(mx.uint16))), name
    assert packed == len(report.affine)
    assert {name for name in expected if name not in found} == {
        f"model.layers.{number}.{module}.scales"
        for number in range(3)
        for module in (
            "self_attn.o_a_proj",
            *(f"mlp.experts.switch_mlp.{part}_proj" for part in ("gate", "up", "down")),
        )
    }


@pytest.mark.filterwarnings("ignore::mlx_quant.QuantWarning")
def test_dense_packed_and_mlx_lms_own_have_the_same_logits(folder: Path, tmp_path: Path) -> None:
    expected = logits(mlx_lm.utils.load_model(folder)[0])
    assert np.isfinite(expected).all()
    assert np.ptp(expected) > 0.1
    for target in ("affine", "dense"):
        convert(folder, tmp_path / target, target=target, progress=False)  # type: ignore[arg-type]
        found = logits(mlx_lm.utils.load_model(tmp_path / target)[0])
        assert np.abs(found - expected).max() < 1e-3 * np.abs(expected).max()


def test_an_expert_without_its_scale_is_refused(folder: Path) -> None:
    file = folder / "model.safetensors"
    tensors = read_safetensors(file.read_bytes())
    del tensors["layers.1.ffn.experts.2.w3.scale"]
    file.write_bytes(write_safetensors(tensors, {"format": "pt"}))
    with pytest.raises(MalformedCheckpoint) as caught:
        Checkpoint.open(folder)
    assert (caught.value.code, caught.value.where) == (
        "missing-tensor",
        "model.safetensors: layers.1.ffn.experts.2.w3.weight",
    )
