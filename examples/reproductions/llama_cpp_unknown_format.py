"""llama.cpp's converter takes any checkpoint_format but "gptq" for gptq_v2, and decodes it.

Run with LLAMA_CPP_DIR naming a folder with llama.cpp's sources.
"""

import os
import sys

import torch

sys.path[:0] = [os.environ["LLAMA_CPP_DIR"], os.environ["LLAMA_CPP_DIR"] + "/gguf-py"]
from conversion.base import ModelBase  # noqa: E402

groups, inputs, outputs = 4, 128, 64
tensors = {
    "proj.qweight": torch.full((inputs // 8, outputs), 0x12345678, dtype=torch.int32),
    "proj.qzeros": torch.full((groups, outputs // 8), 0x77777777, dtype=torch.int32),
    "proj.scales": torch.ones(groups, outputs, dtype=torch.float16),
    "proj.g_idx": torch.arange(inputs, dtype=torch.int32) // 32,
}
print("expected a refusal")
for label in ("marlin", "gptq_p", "no such format"):
    model = object.__new__(ModelBase)
    config = {"quant_method": "gptq", "bits": 4, "group_size": 32, "checkpoint_format": label}
    model.hparams, model.lazy, model._is_nvfp4 = {"quantization_config": config}, False, False
    model.model_tensors = {name: lambda value=value: value for name, value in tensors.items()}
    model.dequant_model()
    print("got     ", model.model_tensors["proj.weight"]()[0, :4].tolist(), "from", label)
