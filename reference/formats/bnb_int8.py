"""bitsandbytes LLM.int8: signed bytes and the largest magnitude of each output.

Formula: bitsandbytes 0.50.2, ``_ops.py``, ``int8_vectorwise_dequant``: two float32 products, in this order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ..config import Config
from ..unpacked import Refused, check_shape
from .bnb_4bit import bits_of

SLUG = "bnb_int8"
MARKS = ("SCB",)
LEAVES = (*MARKS, "weight", "weight_format")
# Of 127, as upstream writes it down.
RECIPROCAL = 7.874015718698502e-3


def names(config: Config) -> bool:
    return bits_of(config) == 8


@dataclass
class Rows:
    """Codes int8 [out, in], scales float32 [out]."""

    codes: torch.Tensor
    scales: torch.Tensor

    def dense(self, dtype: torch.dtype | None = None) -> torch.Tensor:
        return (self.codes.to(torch.float32) * self.scales[:, None] * RECIPROCAL).to(dtype or torch.float32)


def unpack(config: Config, tensors: Mapping[str, torch.Tensor]) -> Rows:
    """Codes and scales of one module; Refused where the formula does not apply."""
    if unknown := sorted(tensors.keys() - {*LEAVES, "bias"}):
        raise Refused(f"{unknown[0]} is no tensor of this format")
    if not {"weight", "SCB"} <= tensors.keys():
        raise Refused(f"needs weight and SCB, found {sorted(tensors)}")
    weight, scales, order = tensors["weight"], tensors["SCB"], tensors.get("weight_format")
    if weight.dtype != torch.int8 or weight.ndim != 2 or weight.numel() == 0:
        raise Refused(f"weight is {weight.dtype} {tuple(weight.shape)}, expected int8 and two axes, none empty")
    if scales.dtype != torch.float32 or not scales.isfinite().all():
        raise Refused("SCB is not float32, or not finite")
    check_shape("SCB", scales, (len(weight),))
    if order is not None and (order.dtype != torch.uint8 or order.numel() != 1 or order.item() != 0):
        raise Refused(f"weight_format is {order}, expected 0, rows in order")
    return Rows(weight, scales)


def pack(
    config: Config, q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """``q`` [out, in] are signed codes, ``s`` [out] scales; there are no zero points."""
    return {"weight": q.to(torch.int8), "SCB": s, "weight_format": torch.tensor(0, dtype=torch.uint8)}
