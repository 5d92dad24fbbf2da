"""AutoGPTQ's two PyTorch layers read one file in two ways: a stored zero point of 15 is 16 to qlinear_cuda, not 0."""

import torch
from auto_gptq.nn_modules.qlinear import qlinear_cuda, qlinear_cuda_old

stored, q, scale = 15, 10, 0.5  # GPTQ stores z - 1 in four bits, so a stored 15 is z = 0
z = (stored + 1) % 16
word = {value: int.from_bytes(bytes([17 * value] * 4), "little", signed=True) for value in (stored, q)}
tensors = {
    "qweight": torch.full((4, 32), word[q], dtype=torch.int32),
    "qzeros": torch.full((1, 4), word[stored], dtype=torch.int32),
    "scales": torch.full((1, 32), scale, dtype=torch.float16),
    "g_idx": torch.zeros(32, dtype=torch.int32),
}
for module in (qlinear_cuda_old, qlinear_cuda):
    layer = module.QuantLinear(4, 32, 32, 32, bias=False)
    layer.load_state_dict(tensors)
    got = layer(torch.eye(32, dtype=torch.float16))[0, 0].item()
    print(f"{module.__name__.rpartition('.')[2]}: expected {scale * (q - z)}, got {got}")
