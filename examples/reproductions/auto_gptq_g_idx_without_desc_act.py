"""AutoGPTQ does not look at g_idx where the config says desc_act: false, whatever groups the file has."""

import torch
from auto_gptq.utils.import_utils import dynamically_import_QuantLinear

g_idx = torch.arange(64, dtype=torch.int32) % 2  # alternating groups
scales = torch.tensor([[1.0], [2.0]], dtype=torch.float16).repeat(1, 32)
q, z = 9, 8  # 0x99999999 and 0x77777777: GPTQ stores z - 1
tensors = {
    "qweight": torch.full((8, 32), 0x99999999 - 2**32, dtype=torch.int32),
    "qzeros": torch.full((2, 4), 0x77777777, dtype=torch.int32),
    "scales": scales,
    "g_idx": g_idx,
}
layer = dynamically_import_QuantLinear(use_triton=False, desc_act=False, group_size=32, bits=4)(4, 32, 64, 32, False)
layer.load_state_dict(tensors)
print("class   ", type(layer).__module__)
print("expected", (scales[g_idx] * (q - z))[:4, 0].tolist())
print("got     ", layer(torch.eye(64, dtype=torch.float16))[:4, 0].tolist())
