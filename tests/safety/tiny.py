"""The smallest checkpoints that need every part of a conversion and a load: one layer, two shards, a tokenizer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from tests.conftest import stored

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
}


def files(method: str) -> dict[str, bytes]:
    """The files of a checkpoint, by name."""
    rng = np.random.default_rng(11)
    first, second = {}, {}
    for name, (inputs, outputs) in MODULES.items():
        module, groups = f"model.layers.0.{name}", inputs // GROUP
        shape = (inputs // 8, outputs) if method == "gptq" else (inputs, outputs // 8)
        first[f"{module}.qweight"] = rng.integers(-(2**31), 2**31, shape, dtype=np.int32)
        first[f"{module}.qzeros"] = rng.integers(-(2**31), 2**31, (groups, outputs // 8), dtype=np.int32)
        first[f"{module}.scales"] = (rng.random((groups, outputs), dtype=np.float32) / 100).astype(np.float16)
        if method == "gptq":
            first[f"{module}.g_idx"] = np.arange(inputs, dtype=np.int32) // GROUP
    for name in ("model.norm", "model.layers.0.input_layernorm", "model.layers.0.post_attention_layernorm"):
        second[f"{name}.weight"] = np.ones(HIDDEN, np.float16)
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        second[name] = rng.random((VOCABULARY, HIDDEN), dtype=np.float32).astype(np.float16)
    shards = {"model-00001-of-00002.safetensors": first, "model-00002-of-00002.safetensors": second}
    index = {"metadata": {}, "weight_map": {name: file for file, part in shards.items() for name in part}}
    config = CONFIG | {"quantization_config": QUANTIZATION[method]}
    found = {file: save(part, metadata={"format": "pt"}) for file, part in shards.items()}
    found |= {"config.json": _json(config), "model.safetensors.index.json": _json(index)}
    found["generation_config.json"] = _json({"eos_token_id": 0, "bos_token_id": 0})
    found["special_tokens_map.json"] = _json({"eos_token": "<|endoftext|>"})
    for name in ("tokenizer.json", "tokenizer_config.json"):
        found[name] = (stored("llama-gptq-g128-seq-asym") / name).read_bytes()
    return found


def write(folder: Path, content: dict[str, bytes]) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, data in content.items():
        (folder / name).write_bytes(data)
    return folder


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1).encode()
