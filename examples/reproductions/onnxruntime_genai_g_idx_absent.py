"""onnxruntime-genai cannot read a GPTQ file without g_idx, which sequential files may leave out."""

import tempfile

import torch
from onnxruntime_genai.models.loaders.quant_model import QuantModel
from safetensors.torch import save_file

config = {"quant_method": "gptq", "bits": 4, "group_size": 32, "sym": True, "desc_act": False}
tensors = {
    "qweight": torch.full((4, 8), 0x77777777, dtype=torch.int32),
    "qzeros": torch.full((1, 1), 0x77777777, dtype=torch.int32),
    "scales": torch.ones(1, 8, dtype=torch.float16),
}
with tempfile.TemporaryDirectory() as folder:
    named = {f"model.layers.0.mlp.down_proj.{name}": value for name, value in tensors.items()}
    save_file(named, f"{folder}/model.safetensors")
    options = {"q_size": 0, "kv_size": 0, "intermediate_size": 0, "num_layers": 1}
    attributes = {"config": config, "use_g_idx": config.get("desc_act", False)}
    try:
        model = QuantModel.from_pretrained(config["quant_method"], input_path=folder, quant_attrs=attributes, **options)
        got = model.layers[0].mlp.down_proj.qweight[0, 0, 0].item() & 15
    except AttributeError as error:
        got = repr(error)
print("expected code 7")
print("got     ", got)
