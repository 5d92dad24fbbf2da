"""Transformers loads a quant_method that it does not know as if nothing were quantised: FP8 codes become the weights.

So it is with ModelOpt's files, and with a method in capitals. There is a warning, and a report of unexpected tensors.
"""

import json
import tempfile
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file

sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 1, "vocab_size": 32}
name = "model.layers.0.mlp.up_proj"
with tempfile.TemporaryDirectory() as folder:
    transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes)).save_pretrained(folder)
    config, weights = Path(folder, "config.json"), Path(folder, "model.safetensors")
    said = {"quant_method": "modelopt", "quant_algo": "FP8"}
    config.write_text(json.dumps(json.loads(config.read_text()) | {"quantization_config": said}))
    tensors = load_file(weights)
    tensors[f"{name}.weight"] = torch.full((32, 32), 2.0).to(torch.float8_e4m3fn)
    tensors[f"{name}.weight_scale"] = torch.tensor(0.125)
    save_file(tensors, weights, metadata={"format": "pt"})
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
print("expected", 2.0 * 0.125)
print("got     ", model.get_parameter(f"{name}.weight")[0, 0].item())
