"""AutoGPTQ packs a zero point of 0 as 0xFFFFFFFF shifted, which overwrites every higher zero point of the word."""

import numpy as np
import torch
from auto_gptq.nn_modules.qlinear.qlinear_cuda_old import QuantLinear

zeros = [8, 8, 8, 0, 8, 5, 8, 3] + [8] * 24
linear = torch.nn.Linear(32, 32, bias=False)
linear.weight.data = torch.zeros(32, 32)
layer = QuantLinear(4, 32, 32, 32, bias=False)
with np.errstate(invalid="ignore"):
    layer.pack(linear, torch.ones(32, 1), torch.tensor(zeros).float()[:, None], torch.zeros(32, dtype=torch.int32))
word = layer.qzeros[0, 0].item() & 0xFFFFFFFF
print("zero points 8 8 8 0 8 5 8 3 are to be stored as z - 1 in four bits, lowest first")
print(f"expected 0x{sum((z - 1) % 16 << 4 * i for i, z in enumerate(zeros[:8])):08x}")
print(f"got      0x{word:08x}")
