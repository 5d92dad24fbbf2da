"""llama.cpp's converter knows gptq_v2, whose zero points are not less 1, by `checkpoint_format` only.

Transformers 5 writes the same word under `format`, and then every zero point is one too large.

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
    "proj.qzeros": torch.full((1, 1), 0x88888888 - 2**32, dtype=torch.int32),
    "proj.scales": torch.full((1, 8), scale, dtype=torch.float16),
    "proj.g_idx": torch.zeros(32, dtype=torch.int32),
}
print("expected", scale * (q - z))
for key in ("checkpoint_format", "format"):
    model = object.__new__(ModelBase)
    config = {"quant_method": "gptq", "bits": 4, "group_size": 32, key: "gptq_v2"}
    model.hparams, model.lazy, model._is_nvfp4 = {"quantization_config": config}, False, False
    model.model_tensors = {name: lambda value=value: value for name, value in tensors.items()}
    model.dequant_model()
    print("got     ", model.model_tensors["proj.weight"]()[0, 0].item(), f"from {key}: gptq_v2")
