"""llama.cpp's converter makes 16 of a GPTQ zero point stored as 15; four bits of z - 1 can only mean 0.

Run with LLAMA_CPP_DIR naming a folder with llama.cpp's sources.
"""

import os
import sys

import torch

sys.path[:0] = [os.environ["LLAMA_CPP_DIR"], os.environ["LLAMA_CPP_DIR"] + "/gguf-py"]
from conversion.base import ModelBase  # noqa: E402

q, stored, scale = 9, 15, 1.0
z = (stored + 1) % 16
tensors = {
    "proj.qweight": torch.full((4, 8), 0x99999999 - 2**32, dtype=torch.int32),
    "proj.qzeros": torch.full((1, 1), -1, dtype=torch.int32),
    "proj.scales": torch.full((1, 8), scale, dtype=torch.float16),
    "proj.g_idx": torch.zeros(32, dtype=torch.int32),
}
model = object.__new__(ModelBase)
model.hparams = {"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 32}}
model.lazy = model._is_nvfp4 = False
model.model_tensors = {name: lambda value=value: value for name, value in tensors.items()}
model.dequant_model()
print("expected", scale * (q - z))
print("got     ", model.model_tensors["proj.weight"]()[0, 0].item())
