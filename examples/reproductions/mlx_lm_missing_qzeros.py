"""mlx-lm takes the zero point for 8 where qzeros is missing, though the configuration says there are zero points."""

import mlx.core as mx
from mlx_lm.utils import _transform_awq_weights

stored = {"m.qweight": mx.zeros((128, 1), mx.int32), "m.scales": mx.ones((1, 8), mx.float16)}
config = {"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm", "zero_point": True}
print("expected: an error; m.qzeros is not there")
made, _ = _transform_awq_weights(stored, config)
print("got:      biases", made["m.biases"][:3].tolist(), "as if every zero point were 8")
