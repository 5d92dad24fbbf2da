"""unsloth-zoo's affine repack of GPTQ says it is lossless; with zero points other than 8 the weights change."""

import os

os.environ["UNSLOTH_ZOO_DISABLE_GPU_INIT"] = "1"
import mlx.core as mx
import numpy as np
from unsloth_zoo.mlx.loader import _gptq_to_mlx_affine

rng = np.random.default_rng(0)
q, z = rng.integers(0, 16, (64, 128)), rng.integers(1, 16, (1, 64))  # codes [out, in], zero points [groups, out]
s = (rng.random((1, 64)) * 0.01 + 0.001).astype(np.float16)
shifts = 4 * np.arange(8, dtype=np.uint32)
qweight = (q.T.reshape(16, 8, 64).astype(np.uint32) << shifts[:, None]).sum(1, dtype=np.uint32).view(np.int32)
qzeros = (
    ((z - 1).reshape(1, 8, 8).astype(np.uint32) << shifts).sum(2, dtype=np.uint32).view(np.int32)
)  # z - 1 is stored
triple = _gptq_to_mlx_affine(mx.array(qweight), mx.array(qzeros), mx.array(s))
expected = (s.T.astype(np.float64) * (q - z.T)).astype(np.float16)  # RN(s * (q - z))
for name, got in (
    ("mx.dequantize in float16", mx.dequantize(*triple, 128, 4)),
    ("in float32, rounded once", mx.dequantize(triple[0], *(t.astype(mx.float32) for t in triple[1:]), 128, 4)),
):
    wrong = np.argwhere(np.array(got.astype(mx.float16)) != expected)
    at = tuple(wrong[0].tolist())
    print(f"{name}: {len(wrong)} of {q.size} weights differ; {at}: expected {expected[at]}, got {got[at].item()}")
