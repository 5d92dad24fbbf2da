"""transformers' ``metal``: MLX's affine codes, with floats added to products in float32.

Formula: transformers 5.23.0, ``integrations/metal_quantization.py``, ``_affine_dequantize_tensor`` and
``MetalDequantize``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ..config import Config, group_size, setting
from ..unpacked import Refused, check_scales, check_shape, signed

SLUG = "metal"
MARKS = ("qbiases",)
LEAVES = ("weight", "scales", "qbiases")


def names(config: Config) -> bool:
    return str(setting(config, "quant_method")).lower() == "metal"


@dataclass
class Steps:
    """Codes [out, groups, group], scales and biases [out, groups]."""

    codes: torch.Tensor
    scales: torch.Tensor
    biases: torch.Tensor

    def dense(self, dtype: torch.dtype | None = None) -> torch.Tensor:
        products = self.codes.to(torch.float32) * self.scales.to(torch.float32)[..., None]
        sums = products + self.biases.to(torch.float32)[..., None]
        return sums.reshape(len(self.codes), -1).to(dtype or self.scales.dtype)


def unpack(config: Config, tensors: Mapping[str, torch.Tensor]) -> Steps:
    """Codes, scales and biases of one module; Refused where the formula does not apply."""
    bits, size = setting(config, "bits", 4), group_size(config, 64)
    if type(bits) is not int or bits not in (2, 4, 8) or size < 1:
        raise Refused(f"{bits!r} bits in groups of {size!r}")
    if unknown := sorted(tensors.keys() - {*LEAVES, "bias"}):
        raise Refused(f"{unknown[0]} is no tensor of this format")
    if lacking := [name for name in LEAVES if name not in tensors]:
        raise Refused(f"{lacking[0]} is missing")
    words, scales, biases = (tensors[name] for name in LEAVES)
    if words.dtype not in (torch.uint32, torch.int32) or words.ndim != 2 or words.numel() == 0:
        raise Refused(f"weight is {words.dtype} {tuple(words.shape)}, expected words and two axes, none empty")
    inputs = words.shape[1] * 32 // bits
    if inputs % size:
        raise Refused(f"{inputs} inputs are no whole groups of {size}")
    if biases.dtype != scales.dtype:
        raise Refused(f"qbiases are {biases.dtype}, and scales {scales.dtype}")
    for name, tensor in (("scales", scales), ("qbiases", biases)):
        check_shape(name, tensor, (len(words), inputs // size))
        check_scales(tensor)
    wide = words.view(torch.int32).to(torch.int64) & 0xFFFFFFFF
    fields = [(wide >> (bits * place)) & ((1 << bits) - 1) for place in range(32 // bits)]
    codes = torch.stack(fields, dim=-1).reshape(len(words), -1, size)
    return Steps(codes, scales, biases)


def pack(
    config: Config, q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """``q`` [out, in], ``z`` and ``s`` [groups, out]; a zero point becomes a bias."""
    if g is not None:
        raise Refused("metal has no group index")
    bits = int(setting(config, "bits", 4))
    fields = q.to(torch.int64).reshape(len(q), -1, 32 // bits)
    words = signed((fields << (bits * torch.arange(32 // bits))).sum(dim=2))
    biases = -(s.to(torch.float32) * z).to(s.dtype)
    return {"weight": words.view(torch.uint32), "scales": s.T.contiguous(), "qbiases": biases.T.contiguous()}
