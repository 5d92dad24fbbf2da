"""Tiny models of mlx-lm's own classes, saved as their authors would publish them: Hugging Face's names, packed by the
reference, beside the dense weights that the packed ones mean."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import torch
from mlx.utils import tree_flatten
from mlx_lm.utils import _get_classes
from safetensors.torch import save_file

import reference

QUANTIZATION = {"quant_method": "gptq", "bits": 4, "group_size": 32, "sym": False, "desc_act": False}
TOKENS = mx.array([[3, 1, 4, 1, 5, 9, 2, 6]])

_MLA = {
    "vocab_size": 64,
    "hidden_size": 64,
    "intermediate_size": 96,
    "moe_intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "n_shared_experts": 1,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "kv_lora_rank": 32,
    "q_lora_rank": 32,
    "qk_rope_head_dim": 16,
    "qk_nope_head_dim": 32,
    "v_head_dim": 32,
    "first_k_dense_replace": 1,
    "n_group": 1,
    "topk_group": 1,
    "norm_topk_prob": True,
    "num_expert_group": 1,
    "rope_theta": 10000.0,
    "rms_norm_eps": 1e-6,
    "routed_scaling_factor": 1.0,
    "max_position_embeddings": 128,
    "tie_word_embeddings": False,
}
_LINEAR = {"kda_layers": [1], "full_attn_layers": [2], "num_heads": 2, "head_dim": 32, "short_conv_kernel_size": 4}
_KIMI = {
    "linear_attn_config": _LINEAR,
    "num_experts": 4,
    "num_experts_per_token": 2,
    "num_shared_experts": 1,
    "head_dim": 32,
    "model_max_length": 128,
}
_MISTRAL = {
    "rope_type": "default",
    "rope_theta": 10000.0,
    "llama_4_scaling_beta": 0.1,
    "original_max_position_embeddings": 128,
}
_INDEXED = {**_MLA, "index_head_dim": 32, "index_n_heads": 2, "index_topk": 4}
_DSA = {"topk_method": "noaux_tc", "scoring_func": "sigmoid", "moe_layer_freq": 1, "attention_bias": False}
_LONGCAT = _MLA | {
    "attention_method": "MLA",
    "zero_expert_type": "identity",
    "ffn_hidden_size": 96,
    "moe_topk": 2,
    "expert_ffn_hidden_size": 32,
    "zero_expert_num": 1,
    "num_layers": 1,
    "mla_scale_q_lora": True,
    "mla_scale_kv_lora": True,
    "attention_bias": False,
}
MLA: dict[str, dict[str, Any]] = {
    "deepseek_v3": _MLA,
    "deepseek_v32": _INDEXED,
    "glm_moe_dsa": _INDEXED | _DSA | {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}},
    "glm4_moe_lite": _MLA,
    "kimi_linear": _MLA | _KIMI,
    "kimi_k3": _MLA | _KIMI,
    "longcat_flash": _LONGCAT,
    "longcat_flash_ngram": _LONGCAT | {"ngram_vocab_size_ratio": 2, "emb_neighbor_num": 2, "emb_split_num": 2},
    "mistral4": _MLA | {"norm_topk_prob": True, "topk_group": 1, "n_group": 1, "rope_parameters": _MISTRAL},
}


_TEXT = {
    "vocab_size": 64,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "max_position_embeddings": 128,
    "tie_word_embeddings": False,
}
_QWEN = _TEXT | {"rope_scaling": {"type": "mrope", "mrope_section": [4, 6, 6]}}
_QWEN35 = _TEXT | {
    "model_type": "qwen3_5_text",
    "linear_num_value_heads": 2,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 32,
    "linear_value_head_dim": 32,
    "linear_conv_kernel_dim": 4,
    "full_attention_interval": 2,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5},
}
# By model_type: the text_config, and whether the checkpoint's names are those of transformers 5 (else of 4).
WRAPPERS: dict[str, tuple[dict[str, Any], bool]] = {
    "mistral3": (_TEXT | {"model_type": "mistral"}, True),
    "qwen2_vl": (_QWEN | {"model_type": "qwen2_vl_text"}, True),
    "qwen3_vl": (_QWEN | {"model_type": "qwen3_vl_text"}, True),
    "qwen3_5": (_QWEN35, True),
    "gemma4": (
        _TEXT
        | {
            "model_type": "gemma4_text",
            "tie_word_embeddings": True,
            "global_head_dim": 32,
            "hidden_size_per_layer_input": 0,
            "vocab_size_per_layer_input": 64,
            "num_kv_shared_layers": 0,
            "sliding_window": 16,
            "layer_types": ["sliding_attention", "full_attention"],
        },
        True,
    ),
    "gemma3": (
        _TEXT
        | {
            "model_type": "gemma3_text",
            "tie_word_embeddings": True,
            "sliding_window": 16,
            "sliding_window_pattern": 2,
        },
        False,
    ),
    "kimi_k25": (_MLA | {"model_type": "kimi_k25"}, False),
}


def wrapper(name: str) -> dict[str, Any]:
    """``config.json`` of a model that sees, with the language model's inside."""
    text, _ = WRAPPERS[name]
    return {
        "model_type": name,
        "architectures": ["TinyForConditionalGeneration"],
        "text_config": text,
        "vision_config": {"depth": 1},
        "vocab_size": text["vocab_size"],
    }


def outer(name: str, config: dict[str, Any]) -> str:
    """A parameter of mlx-lm's language model, under the name that the original has."""
    if config["model_type"] not in WRAPPERS or not WRAPPERS[config["model_type"]][1]:
        return name
    inner = name.removeprefix("language_model.")
    return f"model.language_model.{inner.removeprefix('model.')}" if inner.startswith("model.") else inner


def built(config: dict[str, Any]) -> Any:
    model_class, arguments = _get_classes(config=dict(config))
    return model_class(arguments.from_dict(json.loads(json.dumps(config))))


def published(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the original checkpoint: mlx-lm's, with what it stacks and absorbs undone."""
    found: dict[str, tuple[int, ...]] = {}
    shapes = {name: array.shape for name, array in tree_flatten(built(config).parameters())}
    kimi = config["model_type"] in ("kimi_linear", "kimi_k3")
    settings = config.get("text_config", config)
    for inner, shape in shapes.items():
        name = outer(inner, config)
        prefix = name.removesuffix("embed_q.weight")
        stack = re.fullmatch(r"(.*\.mlp)\.switch_mlp\.(gate|down|up)_proj\.weight", name)
        if prefix != name:
            rows = settings["num_attention_heads"] * (settings["qk_nope_head_dim"] + settings["v_head_dim"])
            found[f"{prefix}kv_b_proj.weight"] = (rows, settings["kv_lora_rank"])
        elif stack and kimi:
            block = stack[1].removesuffix("mlp") + "block_sparse_moe"
            leaf = {"gate": "w1", "down": "w2", "up": "w3"}[stack[2]]
            found |= {f"{block}.experts.{expert}.{leaf}.weight": shape[1:] for expert in range(shape[0])}
        elif stack:
            names = (f"{stack[1]}.experts.{expert}.{stack[2]}_proj.weight" for expert in range(shape[0]))
            found |= dict.fromkeys(names, shape[1:])
        elif not name.endswith("unembed_out.weight"):
            found[name.removeprefix("model.") if config["model_type"] == "gpt2" else name] = shape
    return found


def write(
    folder: Path,
    config: dict[str, Any],
    packs: str = r".*(_proj|\.w[123])",
    without: tuple[str, ...] = (),
    besides: Mapping[str, torch.Tensor] | None = None,
) -> dict[str, torch.Tensor]:
    """Write the packed checkpoint; returns what it means, as an unquantised checkpoint of the same names.

    Tensors ``besides`` are written as they are, and not returned.
    """
    generator = torch.Generator().manual_seed(3)
    stored: dict[str, torch.Tensor] = {}
    dense: dict[str, torch.Tensor] = {}
    for name, shape in published(config).items():
        if name in without:
            continue
        module = name.removesuffix(".weight")
        if module != name and len(shape) == 2 and shape[1] % 32 == 0 and re.fullmatch(packs, module):
            tensors = packed(shape[0], shape[1], generator)
            dense[name] = reference.dequantize(QUANTIZATION, tensors)
            stored |= {f"{module}.{leaf}": tensor for leaf, tensor in tensors.items()}
        else:
            dense[name] = (torch.randn(*shape, generator=generator) * 0.1 + (len(shape) == 1)).half()
            stored[name] = dense[name]
    stored |= besides or {}
    folder.mkdir()
    save_file({name: tensor.contiguous() for name, tensor in stored.items()}, folder / "model.safetensors")
    text = config.get("text_config")
    place = (
        {"text_config": text | {"quantization_config": QUANTIZATION}} if text else {"quantization_config": QUANTIZATION}
    )
    (folder / "config.json").write_text(json.dumps(config | place))
    return dense


def packed(out: int, inputs: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
    q = torch.randint(0, 16, (out, inputs), generator=generator, dtype=torch.int32)
    z = torch.randint(5, 11, (inputs // 32, out), generator=generator, dtype=torch.int32)
    # A power of two: sums of products then hardly round, whatever the order.
    s = torch.full((inputs // 32, out), 2.0**-6).half()
    return reference.pack(QUANTIZATION, q, z, s, torch.arange(inputs) // 32)


def logits(config: dict[str, Any], dense: dict[str, torch.Tensor]) -> Any:
    """mlx-lm's own model on the unquantised checkpoint."""
    model = built(config)
    weights = {name: mx.array(tensor.numpy()) for name, tensor in dense.items()}
    model.load_weights(list((model.sanitize(weights) if hasattr(model, "sanitize") else weights).items()))
    return ran(model)


def ran(model: Any) -> Any:
    model.set_dtype(mx.float32)
    return np.array(model(TOKENS)).astype(np.float64)
