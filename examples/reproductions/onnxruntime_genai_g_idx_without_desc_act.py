"""onnxruntime-genai drops g_idx where the config says desc_act: false, whatever is in it."""

import tempfile

import torch
from onnxruntime_genai.models.loaders.quant_model import QuantModel
from safetensors.torch import save_file

config = {"quant_method": "gptq", "bits": 4, "group_size": 32, "sym": True, "desc_act": False}
tensors = {
    "qweight": torch.full((8, 8), 0x99999999 - 2**32, dtype=torch.int32),
    "qzeros": torch.full((2, 1), 0x77777777, dtype=torch.int32),
    "scales": torch.tensor([[1.0], [2.0]], dtype=torch.float16).repeat(1, 8),
    "g_idx": torch.arange(64, dtype=torch.int32) % 2,
}
expected = tensors["scales"][tensors["g_idx"], 0] * (9 - 8)  # GPTQ stores z - 1
with tempfile.TemporaryDirectory() as folder:
    named = {f"model.layers.0.mlp.down_proj.{name}": value for name, value in tensors.items()}
    save_file(named, f"{folder}/model.safetensors")
    options = {"q_size": 0, "kv_size": 0, "intermediate_size": 0, "num_layers": 1}
    attributes = {"config": config, "use_g_idx": config.get("desc_act", False)}
    model = QuantModel.from_pretrained(config["quant_method"], input_path=folder, quant_attrs=attributes, **options)
layer = model.layers[0].mlp.down_proj
group = torch.arange(64) // layer.group_size if layer.g_idx is None else layer.g_idx  # MatMulNBits without a g_idx
got = layer.scales[:2][group] * ((layer.qweight[0, 0, 0].item() & 15) - (layer.qzeros[0].item() & 15))
print("expected", expected[:4].tolist())
print("got     ", got[:4].tolist())
