"""llama.cpp's converter cannot read a GPTQ file without g_idx, which sequential files may leave out.

Run with LLAMA_CPP_DIR naming a folder with llama.cpp's sources.
"""

import os
import sys

import torch

sys.path[:0] = [os.environ["LLAMA_CPP_DIR"], os.environ["LLAMA_CPP_DIR"] + "/gguf-py"]
from conversion.base import ModelBase  # noqa: E402

q, z, scale = 9, 8, 1.0
tensors = {
    "proj.qweight": torch.full((4, 8), 0x99999999 - 2**32, dtype=torch.int32),
    "proj.qzeros": torch.full((1, 1), 0x77777777, dtype=torch.int32),
    "proj.scales": torch.full((1, 8), scale, dtype=torch.float16),
}
model = object.__new__(ModelBase)
model.hparams = {"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 32}}
model.lazy = model._is_nvfp4 = False
model.model_tensors = {name: lambda value=value: value for name, value in tensors.items()}
print("expected", scale * (q - z))
try:
    model.dequant_model()
    print("got     ", model.model_tensors["proj.weight"]()[0, 0].item())
except KeyError as error:
    print("got     ", repr(error))
