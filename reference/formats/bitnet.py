"""BitNet in transformers: ternary codes in two bits each, four outputs a byte, and one scale a matrix.

Formulas: transformers 5.23.0, ``integrations/bitnet.py``: ``unpack_weights``; ``BitLinear``, whose product is divided
by the scale, and ``AutoBitLinear``, whose product is multiplied by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ..config import Config, setting
from ..unpacked import Refused, Unpacked, check_scales, round_once

SLUG = "bitnet"
MARKS = ("weight_scale",)
LEAVES = ("weight", *MARKS)


def names(config: Config) -> bool:
    return str(setting(config, "quant_method")).lower() == "bitnet"


@dataclass
class Quotients:
    """Codes ``q`` int32 [out, in] from -1 to 2, and the scale [1] by which they are divided."""

    q: torch.Tensor
    s: torch.Tensor

    def dense(self, dtype: torch.dtype | None = None) -> torch.Tensor:
        """``RN(q / s)``. A quotient of so few bits that float64 has rounded is never moved to another one's middle."""
        return round_once(self.q.to(torch.float64) / self.s.to(torch.float64), dtype or self.s.dtype)


def divides(config: Config) -> bool:
    """Whether the layer is ``BitLinear``; Refused where it is neither, or not stored in two bits."""
    layer = setting(config, "linear_class", "bitlinear")
    if layer not in ("bitlinear", "autobitlinear"):
        raise Refused(f"linear_class is {layer!r}, expected bitlinear or autobitlinear")
    mode = setting(config, "quantization_mode", "offline")
    if mode != "offline":
        raise Refused(f"quantization_mode is {mode!r}, expected offline")
    if setting(config, "use_rms_norm", False) is not False:
        raise Refused("layers that normalise their inputs are not decoded")
    return bool(layer == "bitlinear")


def unpack(config: Config, tensors: Mapping[str, torch.Tensor]) -> Unpacked | Quotients:
    """Codes and scale of one module; Refused where the formula does not apply."""
    divided = divides(config)
    if unknown := sorted(tensors.keys() - {*LEAVES, "bias"}):
        raise Refused(f"{unknown[0]} is no tensor of this format")
    for name in LEAVES:
        if name not in tensors:
            raise Refused(f"{name} is missing")
    packed, scale = tensors["weight"], tensors["weight_scale"]
    if packed.dtype != torch.uint8 or packed.ndim != 2 or packed.numel() == 0:
        raise Refused(f"weight is {packed.dtype} {tuple(packed.shape)}, expected uint8, two axes, none empty")
    if scale.numel() != 1 or scale.ndim > 2:
        raise Refused(f"weight_scale has shape {tuple(scale.shape)}, expected one element")
    scale = scale.reshape(1, 1)
    check_scales(scale)
    if divided and not scale.any():
        raise Refused("the codes are divided by zero")
    planes = [(packed >> (2 * plane)) & 3 for plane in range(4)]
    codes = torch.cat(planes).to(torch.int32)
    if divided:
        return Quotients(codes - 1, scale.reshape(1))
    s = scale.expand(1, len(codes)).contiguous()
    return Unpacked(codes, torch.ones(s.shape, dtype=torch.int32), s, torch.zeros(codes.shape[1], dtype=torch.int64))


def pack(
    config: Config, q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """The tensors of codes ``q`` [out, in], counted from -1, and a scale [1, 1]."""
    if g is not None:
        raise Refused("BitNet has no group index")
    if len(q) % 4:
        raise Refused(f"{len(q)} outputs, expected a multiple of 4")
    planes = q.to(torch.uint8).chunk(4)
    packed = planes[0] | planes[1] << 2 | planes[2] << 4 | planes[3] << 6
    return {"weight": packed, "weight_scale": s.reshape(-1)[:1].clone()}
