"""unsloth-zoo drops a bias of zeros, though the architecture may have that bias and then misses it."""

import os
import tempfile

os.environ["UNSLOTH_ZOO_DISABLE_GPU_INIT"] = "1"
import mlx.core as mx
from unsloth_zoo.mlx.loader import _materialize_dequantized_hf_checkpoint as materialise

config = {"quant_method": "gptq", "bits": 4, "group_size": 8, "sym": True, "desc_act": False}
with tempfile.TemporaryDirectory() as folder:
    stored = {
        "q_proj.qweight": mx.zeros((1, 8), mx.int32),
        "q_proj.qzeros": mx.full((1, 1), 0x77777777, mx.int32),
        "q_proj.scales": mx.ones((1, 8), mx.float16),
        "q_proj.bias": mx.zeros((8,), mx.float16),
    }
    mx.save_safetensors(f"{folder}/model.safetensors", stored)
    made, _ = materialise(folder, {"quantization_config": config}, "gptq", config)
    print("expected: ['q_proj.bias', 'q_proj.weight']")
    print("got:     ", sorted(mx.load(f"{made}/model-00001.safetensors")))
