"""The smallest checkpoints that need every part of a conversion and a load: one layer, two shards, a tokenizer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from tests.conftest import stored

_E4M3 = np.dtype([("e4m3", np.uint8)])
HIDDEN, INNER, VOCABULARY, GROUP = 64, 96, 512, 32
MODULES = {f"self_attn.{name}_proj": (HIDDEN, HIDDEN) for name in "qkvo"} | {
    "mlp.gate_proj": (HIDDEN, INNER),
    "mlp.up_proj": (HIDDEN, INNER),
    "mlp.down_proj": (INNER, HIDDEN),
}
CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "rms_norm_eps": 1e-6,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 64,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "attention_bias": False,
    "mlp_bias": False,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "torch_dtype": "float16",
}


def _compressed(form: str, weights: dict[str, Any]) -> dict[str, Any]:
    weights = {"type": "int", "symmetric": True, "dynamic": False, "actorder": None} | weights
    group = {"targets": ["Linear"], "weights": weights, "input_activations": None}
    return {
        "quant_method": "compressed-tensors",
        "format": form,
        "quantization_status": "compressed",
        "config_groups": {"group_0": group},
        "ignore": ["lm_head"],
    }


QUANTIZATION: dict[str, dict[str, Any]] = {
    "gptq": {
        "quant_method": "gptq",
        "bits": 4,
        "group_size": GROUP,
        "sym": False,
        "desc_act": False,
        "checkpoint_format": "gptq",
        "meta": {"quantizer": ["gptqmodel:4.0.0"]},
        "dynamic": {r".*\.layers\.7\..*": {"bits": 8}},
    },
    "awq": {"quant_method": "awq", "bits": 4, "group_size": GROUP, "zero_point": True, "version": "gemm"},
    "fp8": {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": [GROUP, GROUP]},
    "packed": _compressed("pack-quantized", {"num_bits": 4, "strategy": "group", "group_size": GROUP}),
    "int": _compressed("int-quantized", {"num_bits": 8, "strategy": "channel"}),
}
# Forms of MLX itself, in which nothing has to be decoded; the keys of their config besides.
NATIVE: dict[str, dict[str, Any]] = {"plain": {}, "affine": {"quantization": {"group_size": GROUP, "bits": 4}}}


def files(method: str) -> dict[str, bytes]:
    """The files of a checkpoint, by name: packed by a method of ``QUANTIZATION``, or in a form of ``NATIVE``."""
    rng = np.random.default_rng(11)
    first: dict[str, np.ndarray] = {}
    second: dict[str, np.ndarray] = {}
    for name, (inputs, outputs) in MODULES.items():
        module = f"model.layers.0.{name}"
        first |= {f"{module}.{leaf}": tensor for leaf, tensor in _tensors(method, inputs, outputs, rng).items()}
    for name in ("model.norm", "model.layers.0.input_layernorm", "model.layers.0.post_attention_layernorm"):
        second[f"{name}.weight"] = np.ones(HIDDEN, np.float16)
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        second[name] = rng.random((VOCABULARY, HIDDEN), dtype=np.float32).astype(np.float16)
    shards = {"model-00001-of-00002.safetensors": first, "model-00002-of-00002.safetensors": second}
    index = {"metadata": {}, "weight_map": {name: file for file, part in shards.items() for name in part}}
    config = CONFIG | (NATIVE[method] if method in NATIVE else {"quantization_config": QUANTIZATION[method]})
    found = {file: _saved(part) for file, part in shards.items()}
    found |= {"config.json": _json(config), "model.safetensors.index.json": _json(index)}
    found["generation_config.json"] = _json({"eos_token_id": 0, "bos_token_id": 0})
    found["special_tokens_map.json"] = _json({"eos_token": "<|endoftext|>"})
    for name in ("tokenizer.json", "tokenizer_config.json"):
        found[name] = (stored("llama-gptq-g128-seq-asym") / name).read_bytes()
    return found


def _tensors(method: str, inputs: int, outputs: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """One module's, by leaf."""
    groups = inputs // GROUP

    def words(*shape: int) -> np.ndarray:
        return rng.integers(-(2**31), 2**31, shape, dtype=np.int32)

    def scales(*shape: int) -> np.ndarray:
        return (rng.random(shape, dtype=np.float32) / 100).astype(np.float16)

    if method == "plain":
        return {"weight": scales(outputs, inputs)}
    if method == "affine":
        codes = words(outputs, inputs // 8).view(np.uint32)
        return {"weight": codes, "scales": scales(outputs, groups), "biases": scales(outputs, groups)}
    if method == "fp8":
        codes = rng.integers(0, 0x7F, (outputs, inputs), dtype=np.uint8)  # 0x7f is NaN
        return {"weight": codes.view(_E4M3), "weight_scale_inv": scales(outputs // GROUP, groups).astype(np.float32)}
    if method == "packed":
        shape = np.array([outputs, inputs], np.int64)
        return {
            "weight_packed": words(outputs, inputs // 8),
            "weight_scale": scales(outputs, groups),
            "weight_shape": shape,
        }
    if method == "int":
        codes = rng.integers(-128, 128, (outputs, inputs), dtype=np.int8)
        return {"weight": codes, "weight_scale": scales(outputs, 1)}
    found = {"qweight": words(inputs // 8, outputs) if method == "gptq" else words(inputs, outputs // 8)}
    found |= {"qzeros": words(groups, outputs // 8), "scales": scales(groups, outputs)}
    if method == "gptq":
        found["g_idx"] = np.arange(inputs, dtype=np.int32) // GROUP
    return found


def _saved(part: dict[str, np.ndarray]) -> bytes:
    """A shard. NumPy has no 8-bit floats: they come as a structure of one byte."""
    bent = {name: tensor.view(np.uint8) if tensor.dtype == _E4M3 else tensor for name, tensor in part.items()}
    data = save(bent, metadata={"format": "pt"})
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    for name, tensor in part.items():
        if tensor.dtype == _E4M3:
            header[name]["dtype"] = "F8_E4M3"
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def write(folder: Path, content: dict[str, bytes]) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, data in content.items():
        (folder / name).write_bytes(data)
    return folder


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1).encode()
