"""Transformers gives Metal's weights in the dtype of their scales, whatever dtype the model is asked for in."""

import json
import tempfile
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file

sizes = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1, "vocab_size": 32}
name = "model.layers.0.mlp.down_proj"
with tempfile.TemporaryDirectory() as folder:
    transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes)).save_pretrained(folder)
    config, file = Path(folder, "config.json"), Path(folder, "model.safetensors")
    said = {"quant_method": "metal", "bits": 4, "group_size": 64}
    config.write_text(json.dumps(json.loads(config.read_text()) | {"quantization_config": said}))
    tensors = load_file(file)
    tensors[f"{name}.weight"] = torch.full((64, 8), 0x11111111, dtype=torch.int32).view(torch.uint32)
    tensors[f"{name}.scales"] = torch.ones(64, 1, dtype=torch.float16)
    tensors[f"{name}.qbiases"] = torch.zeros(64, 1, dtype=torch.float16)
    save_file(tensors, file, metadata={"format": "pt"})
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, device_map="cpu")
print("expected", torch.bfloat16)
print("got     ", model.get_parameter(f"{name}.weight").dtype, "in a model of", model.dtype)
