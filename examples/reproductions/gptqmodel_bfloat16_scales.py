"""GPTQModel loads for MLX in float16 whatever the scales are; bfloat16 scales leave its range without a word."""

import os
import tempfile

os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")
import torch
from gptqmodel.models._const import DEVICE
from gptqmodel.nn_modules.qlinear.torch_awq import AwqTorchLinear
from gptqmodel.utils.model import auto_dtype, load_checkpoint_in_model_then_tie_weights
from safetensors.torch import save_file
from transformers import LlamaConfig


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        sizes = {"bits": 4, "group_size": 32, "in_features": 32, "out_features": 8}
        self.layer = AwqTorchLinear(sym=False, desc_act=False, register_buffers=True, **sizes)

    def tie_weights(self, **_):
        pass


net, scales = Net(), torch.tensor([[2.0**-27] * 4 + [2.0**16] * 4], dtype=torch.bfloat16)
stored = {
    "layer.qweight": torch.zeros((32, 1), dtype=torch.int32),
    "layer.qzeros": torch.zeros((1, 1), dtype=torch.int32),
}
dtype = auto_dtype(LlamaConfig(dtype="bfloat16"), DEVICE.MPS, quant_inference=True)
with tempfile.TemporaryDirectory() as folder:
    save_file(stored | {"layer.scales": scales}, f"{folder}/model.safetensors", metadata={"format": "pt"})
    load_checkpoint_in_model_then_tie_weights(net, dtype=dtype, checkpoint=f"{folder}/model.safetensors")
print("expected:", scales[0].tolist(), scales.dtype)
print("got:     ", net.layer.scales[0].tolist(), net.layer.scales.dtype)
