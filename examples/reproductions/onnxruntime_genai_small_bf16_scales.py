"""onnxruntime-genai takes bfloat16 files by way of float16: where z * s is too small for it, codes change."""

import tempfile

import torch
from onnxruntime_genai.models.loaders.quant_model import QuantModel
from safetensors.torch import save_file

config = {"quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemm", "zero_point": True}
q, z, s = 3, 8, 2.0**-29
tensors = {
    "qweight": torch.full((32, 1), 0x33333333, dtype=torch.int32),
    "qzeros": torch.full((1, 1), 0x88888888 - 2**32, dtype=torch.int32),
    "scales": torch.full((1, 8), s, dtype=torch.bfloat16),
}
with tempfile.TemporaryDirectory() as folder:
    named = {f"model.layers.0.mlp.down_proj.{name}": value for name, value in tensors.items()}
    save_file(named, f"{folder}/model.safetensors")
    options = {"q_size": 0, "kv_size": 0, "intermediate_size": 0, "num_layers": 1}
    attributes = {"config": config, "use_g_idx": config.get("desc_act", False)}
    model = QuantModel.from_pretrained(config["quant_method"], input_path=folder, quant_attrs=attributes, **options)
layer = model.layers[0].mlp.down_proj
code = layer.qweight[0, 0, 0].item() & 15
print(f"expected code {q}, weight {s * (q - z)}")
print(f"got      code {code}, weight {layer.scales[0].item() * (code - (layer.qzeros[0].item() & 15))}")
