"""mlx-lm does not read AWQ's version: words in the order of GEMV come out as if they were in that of GEMM."""

import mlx.core as mx
import numpy as np
from mlx_lm.utils import _transform_awq_weights

q = np.random.default_rng(0).integers(0, 16, (128, 128))  # codes [out, in]
words = (q.reshape(128, 16, 8).astype(np.uint32) << (4 * np.arange(8, dtype=np.uint32))).sum(2, dtype=np.uint32)
stored = {
    "m.qweight": mx.array(words.view(np.int32)),  # GEMV: [out, in / 8], lowest nibble first, as MLX has it
    "m.qzeros": mx.zeros((128, 1), mx.int32),
    "m.scales": mx.ones((128, 8), mx.float16),
}
made, _ = _transform_awq_weights(stored, {"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemv"})
got = (np.array(made["m.weight"])[..., None] >> (4 * np.arange(8, dtype=np.uint32)) & 15).reshape(128, 128)
print("expected: codes", q[0, :8].tolist(), "or a refusal that names gemv")
print("got:      codes", got[0, :8].tolist(), f"({(got != q).mean():.0%} of all wrong)")
