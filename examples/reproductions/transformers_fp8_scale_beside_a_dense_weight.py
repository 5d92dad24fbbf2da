"""Transformers multiplies a weight that is no FP8 by the scale beside it, which was never written to.

Releases of its own wrote such a scale beside a layer that their blocks do not divide, and which they left as it was.
"""

import torch
from transformers.integrations.finegrained_fp8 import Fp8Dequantize

weight, scales = torch.ones(96, 64, dtype=torch.bfloat16), torch.full((2, 2), torch.nan)
found = Fp8Dequantize(None).convert({"weight": [weight], "weight_scale_inv": [scales]})["weight"]
print("expected", 1.0)
print("got     ", found[0, 0].item())
