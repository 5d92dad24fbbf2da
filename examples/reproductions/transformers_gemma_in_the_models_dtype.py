"""Transformers' Gemma layers multiply in the dtype of the model, which the scales of float32 are rounded to first."""

import torch
from transformers.integrations.gemma_quant import QuantizedLinear

layer = QuantizedLinear(32, 1, num_bits=8)
layer.weight.data.fill_(100)
layer.weight_scale.data.fill_(2.0**-26)
print("expected", (100 * torch.tensor(2.0**-26)).half().item())
print("got     ", layer._dequantize_weights(torch.float16)[0, 0].item())
