"""onnxruntime-genai decodes a GPTQ file and quantises it anew; with bfloat16 scales 8-bit codes do not survive that.

code * scale is rounded to the dtype of the scales on the way, and where the scale is no power of two, the eight bits
that a bfloat16 has are too few for the product.
"""

import tempfile

import torch
from onnxruntime_genai.models.loaders.quant_model import QuantModel
from safetensors.torch import save_file

config = {"quant_method": "gptq", "bits": 8, "group_size": 32, "sym": True, "desc_act": False}
codes = torch.arange(256).reshape(8, 32)  # [out, in]
shifts = torch.tensor([0, 8, 16, 24])
packed = (codes.T.reshape(8, 4, 8) << shifts[:, None]).sum(dim=1)  # [in / 4, out]
scale = 1.25
tensors = {
    "qweight": torch.where(packed >= 2**31, packed - 2**32, packed).int(),
    "qzeros": torch.full((1, 2), 0x7F7F7F7F, dtype=torch.int32),  # z - 1, for z = 128
    "scales": torch.full((1, 8), scale, dtype=torch.bfloat16),
    "g_idx": torch.zeros(32, dtype=torch.int32),
}
with tempfile.TemporaryDirectory() as folder:
    named = {f"model.layers.0.mlp.down_proj.{name}": value.contiguous() for name, value in tensors.items()}
    save_file(named, f"{folder}/model.safetensors")
    options = {"q_size": 0, "kv_size": 0, "intermediate_size": 0, "num_layers": 1}
    attributes = {"config": config, "use_g_idx": config.get("desc_act", False)}
    model = QuantModel.from_pretrained(config["quant_method"], input_path=folder, quant_attrs=attributes, **options)
got = model.layers[0].mlp.down_proj.qweight.reshape(8, 32).int()
wrong = (got != codes).nonzero()
print(f"expected 256 codes as in the file, got {len(wrong)} others")
for output, channel in wrong[:4].tolist():
    print(f"code {codes[output, channel].item()} -> {got[output, channel].item()}")
