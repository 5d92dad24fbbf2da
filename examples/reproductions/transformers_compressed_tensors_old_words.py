"""Transformers reads 3, 5, 6 and 7 bits of compressed-tensors before 0.18 in the words of today's, which are others.

A word had as many whole codes as it holds, ten of 3 bits; now codes run on into the next. The file names its version.
"""

import json
import tempfile
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file

sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 1, "vocab_size": 32}
name = "model.layers.0.mlp.down_proj"
weights = {"num_bits": 3, "type": "int", "symmetric": True, "strategy": "channel"}
said = {
    "quant_method": "compressed-tensors",
    "version": "0.17.1",
    "format": "pack-quantized",
    "quantization_status": "compressed",
    "config_groups": {"group_0": {"targets": ["re:.*down_proj"], "weights": weights}},
}
word = sum(5 << 3 * i for i in range(10))  # 5 - 4 is 1
with tempfile.TemporaryDirectory() as folder:
    transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes)).save_pretrained(folder)
    config, file = Path(folder, "config.json"), Path(folder, "model.safetensors")
    config.write_text(json.dumps(json.loads(config.read_text()) | {"quantization_config": said}))
    tensors = load_file(file)
    del tensors[f"{name}.weight"]
    tensors[f"{name}.weight_packed"] = torch.full((32, 4), word, dtype=torch.int32)
    tensors[f"{name}.weight_scale"] = torch.ones(32, 1)
    tensors[f"{name}.weight_shape"] = torch.tensor([32, 32])
    save_file(tensors, file, metadata={"format": "pt"})
    options = {"quantization_config": transformers.CompressedTensorsConfig(dequantize=True)}
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, **options)
found = model.get_parameter(f"{name}.weight")
print("expected", [1.0] * 14)
print("got     ", found[0, :14].tolist())
