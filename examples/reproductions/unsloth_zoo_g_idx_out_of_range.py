"""unsloth-zoo does not check g_idx: a group that is not there is read from beyond the scales (or ends the process)."""

import os

os.environ["UNSLOTH_ZOO_DISABLE_GPU_INIT"] = "1"
import mlx.core as mx
from unsloth_zoo.mlx.loader import _gptq_dequantize_weight

qweight = mx.full((1, 8), 0x0FEDCBA9, mx.uint32).view(mx.int32)
qzeros, scales = mx.full((2, 1), 0x77777777, mx.int32), mx.ones((2, 8), mx.float16)
for row, group in ((7, 2), (7, 2**31 - 1)):
    g_idx = mx.array([0, 0, 0, 0, 1, 1, 1, group])
    print(f"expected: an error; there are 2 groups, and row {row} is in group {group}", flush=True)
    print("got:     ", _gptq_dequantize_weight(qweight, qzeros, scales, g_idx)[0].tolist(), flush=True)
