"""mlx-lm casts all floats of an AWQ checkpoint to the dtype of the scales, those of unquantised layers too."""

import mlx.core as mx
from mlx_lm.utils import _transform_awq_weights

stored = {
    "m.qweight": mx.zeros((128, 1), mx.int32),
    "m.qzeros": mx.zeros((1, 1), mx.int32),
    "m.scales": mx.ones((1, 8), mx.float16),
    "lm_head.weight": mx.array([[2.0**-30, 2.0**17]], mx.bfloat16),
    "norm.weight": mx.array([1 + 2.0**-20], mx.float32),
}
made, _ = _transform_awq_weights(stored, {"bits": 4, "group_size": 128})
for name in ("lm_head.weight", "norm.weight"):
    print(
        f"{name}: expected {stored[name].tolist()} {stored[name].dtype}, got {made[name].tolist()} {made[name].dtype}"
    )
