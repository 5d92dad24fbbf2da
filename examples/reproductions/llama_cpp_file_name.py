"""llama.cpp's converter does not see a weight file of the name that AutoGPTQ gives it, and finds no tensors.

Run with LLAMA_CPP_DIR naming a folder with llama.cpp's sources.
"""

import os
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

sys.path[:0] = [os.environ["LLAMA_CPP_DIR"], os.environ["LLAMA_CPP_DIR"] + "/gguf-py"]
from conversion.base import ModelBase  # noqa: E402

for name in ("model.safetensors", "gptq_model-4bit-128g.safetensors"):
    with tempfile.TemporaryDirectory() as folder:
        save_file({"model.norm.weight": torch.ones(4)}, f"{folder}/{name}")
        model = object.__new__(ModelBase)
        model.dir_model, model.lazy = Path(folder), False
        print(f"{name}: expected ['model.norm.weight'], got {list(model.index_tensors())}")
