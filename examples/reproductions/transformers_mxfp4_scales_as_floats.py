"""Transformers takes MXFP4 scales of dtype float8_e8m0fnu for the number they stand for, not for their exponent."""

import torch
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

blocks = torch.full((1, 1, 1, 16), 0x22, dtype=torch.uint8)  # 1.0, thirty-two times
scales = torch.tensor([[[127]]], dtype=torch.uint8)  # of 2^0
found = [convert_moe_packed_tensors(blocks, s)[0, 0, 0].item() for s in (scales, scales.view(torch.float8_e8m0fnu))]
print("expected", [1.0, 1.0])
print("got     ", found)
