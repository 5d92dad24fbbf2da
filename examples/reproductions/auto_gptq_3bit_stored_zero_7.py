"""At 3 bits both of AutoGPTQ's PyTorch layers make 8 of a stored zero point of 7; at other widths one of them wraps."""

import torch
from auto_gptq.nn_modules.qlinear import qlinear_cuda, qlinear_cuda_old

stored, q, scale = 7, 7, 0.5  # GPTQ stores z - 1 in three bits, so a stored 7 is z = 0
z = (stored + 1) % 8
tensors = {
    "qweight": torch.full((3, 32), -1, dtype=torch.int32),  # 32 codes of 7
    "qzeros": torch.full((1, 3), -1, dtype=torch.int32),
    "scales": torch.full((1, 32), scale, dtype=torch.float16),
    "g_idx": torch.zeros(32, dtype=torch.int32),
}
for module in (qlinear_cuda_old, qlinear_cuda):
    layer = module.QuantLinear(3, 32, 32, 32, bias=False)
    layer.load_state_dict(tensors)
    got = layer(torch.eye(32, dtype=torch.float16))[0, 0].item()
    print(f"{module.__name__.rpartition('.')[2]}: expected {scale * (q - z)}, got {got}")
