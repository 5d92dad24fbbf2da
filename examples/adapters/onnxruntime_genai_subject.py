"""The GPTQ and AWQ readers of onnxruntime-genai's model builder, on a CPU, as a conformance subject.

`QuantModel.from_pretrained` reads a checkpoint, takes its weights apart and packs them anew for ONNX Runtime's
MatMulNBits: unsigned blocks of 2, 4 or 8 bits along the inputs, scales, packed zero points, and the group index where
the model is act-order. The builder writes these into the ONNX file as they are. What they stand for is `(q - z) *
scale` by the operator's definition, computed here and rounded once. A single module is put into a checkpoint folder of
its own.
"""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from onnxruntime_genai.models.loaders.base import QuantizedTensorModule
from onnxruntime_genai.models.loaders.quant_model import QuantModel
from safetensors.torch import save_file

LAYER = "model.layers.0.mlp.down_proj"


class Refused(Exception):
    """The question is none for this loader."""


def read(folder: str | Path, config: dict[str, Any], layers: int) -> Any:
    """The builder's call; its sizes of attention serve to split fused projections only, and none is here."""
    attributes = {"config": config, "use_g_idx": config.get("desc_act", False)}
    sizes = {"q_size": 0, "kv_size": 0, "intermediate_size": 0, "num_layers": layers}
    with contextlib.redirect_stdout(io.StringIO()):  # it prints the number of every layer
        return QuantModel.from_pretrained(
            config["quant_method"], input_path=str(folder), quant_attrs=attributes, **sizes
        )


def fields(packed: torch.Tensor, bits: int) -> torch.Tensor:
    """The fields of bytes [..., n] as int32 [..., n * 8 / bits], the lowest first."""
    shifts = range(0, 8, bits)
    return torch.stack([packed >> shift & 2**bits - 1 for shift in shifts], dim=-1).flatten(-2).to(torch.int32)


def dense(module: QuantizedTensorModule) -> torch.Tensor:
    """What MatMulNBits multiplies by: [N, K]."""
    outputs, inputs, block = module.out_features, module.in_features, module.group_size
    blocks = -(-inputs // block)
    q = fields(module.qweight, module.bits).reshape(outputs, -1)[:, :inputs]
    z = fields(module.qzeros.reshape(outputs, -1), module.bits)[:, :blocks]
    scales = module.scales.reshape(outputs, blocks)
    group = torch.arange(inputs) // block if module.g_idx is None else module.g_idx.long()
    # A float32 product of such a scale and so small a whole number is exact, or float32 is the dtype asked for.
    return (scales[:, group].float() * (q - z[:, group])).to(scales.dtype)


def dequantize(quantization_config: dict[str, Any], tensors: dict[str, torch.Tensor], *, dtype: Any = None) -> Any:
    if dtype not in (None, tensors["scales"].dtype):
        raise Refused("its dtype is the model's, and casts the scales: none can be asked for the weight")
    with tempfile.TemporaryDirectory() as folder:
        stored = {f"{LAYER}.{name}": tensor.contiguous() for name, tensor in tensors.items()}
        save_file(stored, f"{folder}/model.safetensors")
        model = read(folder, quantization_config, layers=1)
    return dense(model.layers[0].mlp.down_proj)


def load(checkpoint_dir: str | Path) -> dict[str, torch.Tensor]:
    """A whole model. A bias that is all zero is left out, as the builder leaves it out."""
    config = json.loads(Path(checkpoint_dir, "config.json").read_text())
    model = read(checkpoint_dir, config["quantization_config"], config["num_hidden_layers"])
    parts = {"model.embed_tokens": model.embedding, "model.norm": model.final_norm, "lm_head": model.lm_head}
    for layer in model.layers:
        for owner in ("", "self_attn", "mlp"):
            held = getattr(layer, owner) if owner else layer
            for name, part in vars(held).items():
                parts[".".join(filter(None, (f"model.layers.{layer.layer_id}", owner, name)))] = part
    weights = {}
    for name, part in parts.items():
        if getattr(part, "qweight", None) is not None:
            weights[f"{name}.weight"] = dense(part)
        elif getattr(part, "weight", None) is not None:
            weights[f"{name}.weight"] = part.weight
        if getattr(part, "bias", None) is not None and torch.count_nonzero(part.bias):
            weights[f"{name}.bias"] = part.bias
    if config.get("tie_word_embeddings"):
        # The builder holds the embedding a second time as its head; the checkpoint has it once.
        weights.pop("lm_head.weight", None)
    return weights


class _Subject:
    name = "onnxruntime-genai"
    framework = "torch"
    refusals = (NotImplementedError, Refused)

    def info(self) -> dict[str, Any]:
        # The builder packs 2, 4 and 8 bits, and does not look at checkpoint_format. Its dtype casts the stored scales;
        # it is no request for the weight in another dtype.
        excludes = ["bits-3", "gptq_v2", "out-dtype", "awq-else"]
        return {
            "version": version("onnxruntime-genai"),
            "formats": ["gptq", "awq"],
            "excludes": excludes,
            "backend": "cpu, model builder",
        }

    dequantize = staticmethod(dequantize)
    load = staticmethod(load)


SUBJECT = _Subject()
