"""GPTQModel loads a packed layer without its zero points or scales as if they were zeros."""

import os
import tempfile

os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")
import torch
from gptqmodel.nn_modules.qlinear.torch_awq import AwqTorchLinear
from gptqmodel.utils.model import load_checkpoint_in_model_then_tie_weights
from safetensors.torch import save_file


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        sizes = {"bits": 4, "group_size": 32, "in_features": 32, "out_features": 8}
        self.layer = AwqTorchLinear(sym=False, desc_act=False, register_buffers=True, **sizes)

    def tie_weights(self, **_):
        pass


stored = {
    "layer.qweight": torch.full((32, 1), 0x11111111, dtype=torch.int32),  # every code is 1
    "layer.qzeros": torch.full((1, 1), 0x33333333, dtype=torch.int32),  # every zero point is 3
    "layer.scales": torch.ones((1, 8), dtype=torch.float16),
}
for missing in (None, "layer.qzeros", "layer.scales"):
    net = Net()
    with tempfile.TemporaryDirectory() as folder:
        kept = {name: value for name, value in stored.items() if name != missing}
        save_file(kept, f"{folder}/model.safetensors", metadata={"format": "pt"})
        load_checkpoint_in_model_then_tie_weights(net, dtype=torch.float16, checkpoint=f"{folder}/model.safetensors")
    got = net.layer.scales[0, 0] * (1 - (net.layer.qzeros[0, 0] & 15))
    print(f"without {missing}: expected {'-2.0' if missing is None else 'an error'}, got weights of {got.item()}")
