"""AutoAWQ decodes a file whose scale is NaN or infinite into weights that are no numbers, without a word."""

import torch
from awq.utils.packing_utils import dequantize_gemm

for scale in (float("nan"), float("inf")):
    scales = torch.tensor([[scale] + [1.0] * 7], dtype=torch.float16)
    qweight, qzeros = torch.full((32, 1), 0x77777777, dtype=torch.int32), torch.full((1, 1), 0x77777777)
    weight = dequantize_gemm(qweight, qzeros.to(torch.int32), scales, 4, 32)
    print(f"scale {scale}: expected an error, got weights {weight[0, :3].tolist()}")
