"""Torchao's MX tensors, which transformers loads, are dequantised to float16 with their scales in float16.

A scale of 2^-25 is 0 there, and one of 2^16 infinite, though the weights are within its range.
"""

import torch
from torchao.prototype.mx_formats.mx_tensor import MXTensor

weight = torch.full((1, 32), 3 * 2.0**-19)  # 384 at a scale of 2^-26
found = MXTensor.to_mx(weight, torch.float8_e4m3fn, 32)
print("expected", found.dequantize(torch.float32)[0, 0].half().item())
print("got     ", found.dequantize(torch.float16)[0, 0].item())
