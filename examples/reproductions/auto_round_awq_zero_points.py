"""AutoRound's CPU kernels (auto-round-lib) read every zero point of an asymmetric AWQ file as one and the same."""

import torch
import transformers
from auto_round.inference.convert_model import convert_hf_model, post_init

ORDER = (0, 4, 1, 5, 2, 6, 3, 7)


def packed(fields: torch.Tensor) -> torch.Tensor:
    words = sum(fields[:, i::8].long() << 4 * nibble for i, nibble in enumerate(ORDER))
    return torch.where(words >= 2**31, words - 2**32, words).int()


class Model(torch.nn.Module):
    dtype = torch.float16

    def __init__(self, settings: dict) -> None:
        super().__init__()
        self.config = transformers.PretrainedConfig()
        self.config.quantization_config = transformers.AutoRoundConfig.from_dict(settings)
        self.layers = torch.nn.ModuleList([torch.nn.ModuleDict({"proj": torch.nn.Linear(64, 64, False).half()})])


awq = {"quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemm", "zero_point": True}
for z in (8, 3):
    model, backends = convert_hf_model(Model(dict(awq)), "cpu")
    layer = model.layers[0]["proj"]
    layer.qweight = packed(torch.full((64, 64), 9))
    layer.qzeros = packed(torch.full((2, 64), z))
    layer.scales = torch.ones(2, 64, dtype=torch.float16)
    post_init(model, backends)
    got = model.layers[0]["proj"](torch.eye(64))
    print(f"code 9, zero point {z}, scale 1: expected {9.0 - z}, got {got[0, 0].item()}")
