"""unsloth-zoo's dense decode is float16 whatever the scales are, so bfloat16 weights leave its range without a word."""

import os
import tempfile

os.environ["UNSLOTH_ZOO_DISABLE_GPU_INIT"] = "1"
import mlx.core as mx
from unsloth_zoo.mlx.loader import _materialize_dequantized_hf_checkpoint as materialise

config = {"quant_method": "gptq", "bits": 4, "group_size": 8, "sym": True, "desc_act": False}
with tempfile.TemporaryDirectory() as folder:
    stored = {
        "m.qweight": mx.full((1, 8), 0x0FEDCBA9, mx.uint32).view(mx.int32),
        "m.qzeros": mx.full((1, 1), 0x77777777, mx.int32),  # zero point 8
        "m.scales": mx.array([[2.0**-27] * 4 + [2.0**16] * 4], mx.bfloat16),
    }
    mx.save_safetensors(f"{folder}/model.safetensors", stored)
    made, _ = materialise(folder, {"quantization_config": config}, "gptq", config)
    got = mx.load(f"{made}/model-00001.safetensors")["m.weight"]
# Code 9 and zero point 8: the weight is the scale.
print("expected:", stored["m.scales"][0].tolist(), stored["m.scales"].dtype)
print("got:     ", got[:, 0].tolist(), got.dtype)
