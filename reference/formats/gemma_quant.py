"""Gemma's own integers in transformers: 2, 4 or 8 bits with a scale for each output.

Formulas: transformers 5.23.0, ``integrations/gemma_quant.py``: ``_unpack_int4``, ``_unpack_int2``, and
``_dequantize_weights`` of ``QuantizedLinear`` and ``QuantizedEmbedding``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ..config import Config
from ..gemma import rules_of, wrote
from ..unpacked import Refused, check_shape

SLUG = "gemma_quant"
LEAVES = (
    *("weight", "weight_scale", "embedding_quantized", "embedding_scale"),
    *("input_activation_scale", "output_activation_scale"),
)
MARKS = ("weight_scale", "embedding_quantized", "embedding_scale")


def names(config: Config) -> bool:
    return wrote(config)


@dataclass
class Rounded:
    """Signed codes int8 [out, in], scales float32 [out, 1]."""

    codes: torch.Tensor
    scales: torch.Tensor

    def dense(self, dtype: torch.dtype | None = None) -> torch.Tensor:
        """``codes.to(dtype) * scales.to(dtype)``; 0 under a scale that is infinite in ``dtype`` stays 0."""
        wanted = dtype or torch.float32
        rounded = self.codes.to(wanted) * self.scales.to(wanted)
        return torch.where(self.codes == 0, (self.codes * self.scales).to(wanted), rounded)


def unpack(config: Config, tensors: Mapping[str, torch.Tensor]) -> Rounded:
    """Codes and scales of one module; Refused where the formula does not apply."""
    rules_of(config)
    bits = config.get("num_bits", 4)
    if type(bits) is not int or bits not in (2, 4, 8):
        raise Refused(f"{bits!r} bits, expected 2, 4 or 8")
    if unknown := sorted(tensors.keys() - {*LEAVES, "bias"}):
        raise Refused(f"{unknown[0]} is no tensor of this format")
    kind = "embedding" if any(name.startswith("embedding") for name in tensors) else "weight"
    stored, scaled = ("weight", "weight_scale") if kind == "weight" else ("embedding_quantized", "embedding_scale")
    if not {stored, scaled} <= tensors.keys():
        raise Refused(f"needs {stored} and {scaled}, found {sorted(tensors)}")
    packed, scales = tensors[stored], tensors[scaled]
    expected = torch.int8 if bits == 8 else torch.uint8
    if packed.dtype != expected or packed.ndim != 2 or packed.numel() == 0:
        raise Refused(f"{stored} is {packed.dtype} {tuple(packed.shape)}, expected {expected}, two axes, none empty")
    if scales.dtype != torch.float32 or not scales.isfinite().all():
        raise Refused(f"{scaled} is not float32, or not finite")
    check_shape(scaled, scales, (len(packed), 1))
    for name in ("input_activation_scale", "output_activation_scale"):
        if name in tensors and (tensors[name].numel() != 1 or not tensors[name].is_floating_point()):
            raise Refused(f"{name} is no single float")
    if bits == 8:
        return Rounded(packed, scales)
    parts = [((packed >> place) & ((1 << bits) - 1)).to(torch.int8) for place in range(0, 8, bits)]
    return Rounded(torch.stack(parts, dim=-1).reshape(len(packed), -1) - (1 << (bits - 1)), scales)


def pack(
    config: Config, q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """``q`` [out, in] counted from the least code, ``s`` [1, out] scales; the zero point is in the middle."""
    bits = config.get("num_bits", 4)
    if bits == 8:
        return {"weight": (q - 128).to(torch.int8), "weight_scale": s.reshape(-1, 1)}
    held = 8 // bits
    fields = q.to(torch.int32).reshape(len(q), -1, held) << (torch.arange(held) * bits)
    return {"weight": fields.sum(-1).to(torch.uint8), "weight_scale": s.reshape(-1, 1)}
