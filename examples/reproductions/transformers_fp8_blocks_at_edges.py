"""Transformers takes the size of an FP8 block from the grid of scales: 200 rows in blocks of 128 are read in 100s."""

import torch
from transformers.integrations.finegrained_fp8 import Fp8Dequantize

weight = torch.ones(200, 128).to(torch.float8_e4m3fn)
scales = torch.tensor([[1.0], [2.0]])  # of rows 0 to 127, and of rows 128 to 199
found = Fp8Dequantize(None).convert({"weight": [weight], "weight_scale_inv": [scales]})["weight"]
print("expected", scales[110 // 128].item())
print("got     ", found[110, 0].item())
