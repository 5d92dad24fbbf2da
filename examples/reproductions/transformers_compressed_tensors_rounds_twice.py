"""Transformers dequantises compressed-tensors in the dtype of the scales, and casts that to the model's.

So with `dequantize=True`. In a model of float32 the weights are those of float16, where 70050 is infinite, or those of
bfloat16 for NVFP4.
"""

import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationScheme

weights = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel"}
scheme = QuantizationScheme(targets=["Linear"], weights=weights)
stored = {"weight": torch.tensor([[7, 100]], dtype=torch.int8), "weight_scale": torch.tensor([[700.5]]).half()}
compressor = BaseCompressor.get_value_from_registry("int-quantized")
found = compressor.decompress(stored, scheme)["weight"].to(torch.float32)  # integrations/compressed_tensors.py's lines
print("expected", [7 * 700.5, 100 * 700.5])
print("got     ", found[0].tolist())
