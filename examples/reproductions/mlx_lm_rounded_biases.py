"""mlx-lm rounds -zero * scale to the dtype of the scales, so an asymmetric AWQ weight is not the one in the file."""

import mlx.core as mx
import numpy as np
from mlx_lm.utils import _transform_awq_weights

rng = np.random.default_rng(0)
q, z = rng.integers(0, 16, (64, 128)), rng.integers(0, 16, (1, 64))  # codes [out, in], zero points [groups, out]
s = (rng.random((1, 64)) * 0.01 + 0.001).astype(np.float16)


def pack(fields):  # AWQ gemm: eight columns a word, in nibbles 0 4 1 5 2 6 3 7
    nibbles = fields.reshape(len(fields), -1, 8).astype(np.uint32) << (
        4 * np.array([0, 4, 1, 5, 2, 6, 3, 7], np.uint32)
    )
    return mx.array(nibbles.sum(axis=2, dtype=np.uint32).view(np.int32))


stored = {"m.qweight": pack(q.T), "m.qzeros": pack(z), "m.scales": mx.array(s)}
made, config = _transform_awq_weights(stored, {"bits": 4, "group_size": 128})
triple = made["m.weight"], made["m.scales"], made["m.biases"]
expected = (s.T.astype(np.float64) * (q - z.T)).astype(np.float16)  # RN(s * (q - z))
for name, got in (
    ("mx.dequantize in float16", mx.dequantize(*triple, 128, 4)),
    ("in float32, rounded once", mx.dequantize(triple[0], *(t.astype(mx.float32) for t in triple[1:]), 128, 4)),
):
    wrong = np.argwhere(np.array(got.astype(mx.float16)) != expected)
    at = tuple(wrong[0].tolist())
    print(f"{name}: {len(wrong)} of {q.size} weights differ; {at}: expected {expected[at]}, got {got[at].item()}")
