"""mlx-lm sends GPTQ to its AWQ transform. A file with g_idx is refused; one without is taken for what it is not."""

import mlx.core as mx
import numpy as np
from mlx_lm.utils import _transform_awq_weights

rng = np.random.default_rng(0)
q = rng.integers(0, 16, (32, 256))  # codes [out, in]
qweight = (q.T.reshape(32, 8, 32).astype(np.uint32) << (4 * np.arange(8, dtype=np.uint32))[:, None]).sum(
    1, dtype=np.uint32
)
stored = {
    "m.qweight": mx.array(qweight.view(np.int32)),  # [in / 8, out]
    "m.qzeros": mx.array(np.full((2, 4), 0x77777777, np.int32)),
    "m.scales": mx.full((2, 32), 0.01, mx.float16),
}
made, _ = _transform_awq_weights(stored, {"quant_method": "gptq", "bits": 4, "group_size": 128})
print("expected: weight [out, in / 8] =", [32, 32], "or a refusal that says GPTQ")
print("got:      weight", list(made["m.weight"].shape), "and no complaint; load_model then stops at 'number of bits 0'")
