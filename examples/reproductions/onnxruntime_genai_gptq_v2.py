"""onnxruntime-genai's GPTQ reader adds 1 to the zero points of "gptq_v2" files too, which store them as they are."""

import tempfile

import torch
from onnxruntime_genai.models.loaders.quant_model import QuantModel
from safetensors.torch import save_file

config = {"quant_method": "gptq", "bits": 4, "group_size": 32, "sym": False, "checkpoint_format": "gptq_v2"}
tensors = {
    "qweight": torch.full((4, 8), 0x77777777, dtype=torch.int32),
    "qzeros": torch.full((1, 1), 0x55555555, dtype=torch.int32),
    "scales": torch.ones(1, 8, dtype=torch.float16),
    "g_idx": torch.zeros(32, dtype=torch.int32),
}
with tempfile.TemporaryDirectory() as folder:
    named = {f"model.layers.0.mlp.down_proj.{name}": value for name, value in tensors.items()}
    save_file(named, f"{folder}/model.safetensors")
    options = {"q_size": 0, "kv_size": 0, "intermediate_size": 0, "num_layers": 1}
    attributes = {"config": config, "use_g_idx": False}
    model = QuantModel.from_pretrained("gptq", input_path=folder, quant_attrs=attributes, **options)
print("expected zero point 5")
print("got     ", model.layers[0].mlp.down_proj.qzeros[0].item() & 15)
