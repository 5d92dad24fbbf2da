"""unsloth-zoo misreads zero points beside a zero point of 0 in asymmetric files that GPTQModel wrote.

GPTQModel stores version 1 zero points by subtracting 0x11111111 from the packed word, so a 0 borrows from the next.
"""

import os

os.environ["UNSLOTH_ZOO_DISABLE_GPU_INIT"] = "1"
import mlx.core as mx
import numpy as np
from unsloth_zoo.mlx.loader import _gptq_dequantize_weight

zeros = np.array([8, 0, 5, 7, 0, 0, 3, 9], np.uint32)
word = (zeros << (4 * np.arange(8, dtype=np.uint32))).sum(dtype=np.uint32)
qzeros = mx.array(np.array([[word - np.uint32(0x11111111)]]).view(np.int32))
codes = mx.full((1, 8), 0x99999999, mx.uint32).view(mx.int32)  # every code is 9, every scale 1
got = _gptq_dequantize_weight(codes, qzeros, mx.ones((1, 8), mx.float16), mx.zeros((8,), mx.int32))
print("expected:", [9.0 - float(z) for z in zeros])
print("got:     ", got[:, 0].tolist())
