"""Transformers dequantises every layer of a compressed-tensors file by the first group of it, whatever that targets."""

import json
import tempfile
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file

sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 1, "vocab_size": 32}
name = "model.layers.0.mlp.down_proj"


def group(target: str, bits: int) -> dict:
    weights = {"num_bits": bits, "type": "int", "symmetric": True, "strategy": "channel"}
    return {"targets": [target], "weights": weights}


said = {
    "quant_method": "compressed-tensors",
    "format": "pack-quantized",
    "quantization_status": "compressed",
    "config_groups": {"group_0": group("re:.*up_proj", 8), "group_1": group("re:.*down_proj", 4)},
}
with tempfile.TemporaryDirectory() as folder:
    transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes)).save_pretrained(folder)
    config, weights = Path(folder, "config.json"), Path(folder, "model.safetensors")
    config.write_text(json.dumps(json.loads(config.read_text()) | {"quantization_config": said}))
    tensors = load_file(weights)
    del tensors[f"{name}.weight"]
    tensors[f"{name}.weight_packed"] = torch.full((32, 4), 0x99999999 - 2**32, dtype=torch.int32)  # 9 means 1
    tensors[f"{name}.weight_scale"] = torch.ones(32, 1)
    tensors[f"{name}.weight_shape"] = torch.tensor([32, 32])
    save_file(tensors, weights, metadata={"format": "pt"})
    options = {"quantization_config": transformers.CompressedTensorsConfig(dequantize=True)}
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, **options)
found = model.get_parameter(f"{name}.weight")
print("expected", 1.0)
print("got     ", found[0, 0].item(), list(found.shape))
