"""ModelOpt's INT4 (AWQ): signed codes of four bits, two outputs a byte, and scales of inputs where there are.

Formulas: nvidia-modelopt 0.47.0, ``torch/export/quant_utils.py``: ``pack_int4_in_uint8``, which divides by the scale
and rounds, so that a code times the scale is the weight; ``_update_pre_quant_scale``, which takes the scale of an input
into the weight by float32 products. Codes are counted from -8 here, so that they are unsigned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ..config import Config, setting
from ..unpacked import Refused, Unpacked, check_shape

SLUG = "modelopt_int4"
MARKS = ("weight_scale",)
LEAVES = ("weight", *MARKS, "pre_quant_scale", "input_scale")
IGNORED = ("input_scale", "k_scale", "v_scale", "bias")
ALGORITHM = "w4a16_awq"


def names(config: Config) -> bool:
    return setting(config, "quant_method") == "modelopt" and str(config.get("quant_algo")).lower() == ALGORITHM


@dataclass
class Scaled:
    """A matrix for inputs that were multiplied by ``inputs`` [in] before it meets them."""

    matrix: Unpacked
    inputs: torch.Tensor

    def dense(self, dtype: torch.dtype | None = None) -> torch.Tensor:
        return (self.matrix.dense(torch.float32) * self.inputs.to(torch.float32)).to(dtype or torch.float32)


def unpack(config: Config, tensors: Mapping[str, torch.Tensor]) -> Unpacked | Scaled:
    """Codes and scales of one module; Refused where the formulas do not apply."""
    for name in ("weight", "weight_scale"):
        if name not in tensors:
            raise Refused(f"{name} is missing")
    if unknown := sorted(tensors.keys() - {*LEAVES, *IGNORED}):
        raise Refused(f"{unknown[0]} is no tensor of this format")
    packed, scales, inputs = tensors["weight"], tensors["weight_scale"], tensors.get("pre_quant_scale")
    if packed.dtype != torch.uint8 or packed.ndim != 2 or packed.numel() == 0:
        raise Refused(f"weight is {packed.dtype} {tuple(packed.shape)}, expected uint8, two axes, none empty")
    pairs, width = packed.shape
    if scales.dtype != torch.float32 or not torch.isfinite(scales).all():
        raise Refused(f"weight_scale is {scales.dtype}, or not finite")
    if scales.ndim != 2 or len(scales) != 2 * pairs or 0 in scales.shape or width % scales.shape[1]:
        raise Refused(f"weight_scale has shape {tuple(scales.shape)}, weight {tuple(packed.shape)}")
    groups = scales.shape[1]
    size = config.get("group_size")
    if size is not None and (type(size) is not int or size < 1 or groups * size != width):
        raise Refused(f"group_size is {size!r}, but {width} inputs have {groups} groups")
    q = torch.empty(2 * pairs, width, dtype=torch.int32)
    q[0::2], q[1::2] = packed & 15, packed >> 4
    q = torch.where(q > 7, q - 16, q) + 8
    z = torch.full((groups, 2 * pairs), 8, dtype=torch.int32)
    matrix = Unpacked(q, z, scales.T.contiguous(), torch.arange(width) // (width // groups))
    if inputs is None:
        return matrix
    if inputs.dtype not in (torch.float16, torch.bfloat16, torch.float32) or not torch.isfinite(inputs).all():
        raise Refused(f"pre_quant_scale is {inputs.dtype}, or not finite")
    check_shape("pre_quant_scale", inputs, (width,))
    return Scaled(matrix, inputs)


def pack(
    config: Config, q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """``q`` [out, in] are codes counted from -8, ``s`` [groups, out] scales; zero points are 8."""
    if g is not None:
        raise Refused("ModelOpt's groups are consecutive")
    signed = (q - 8).to(torch.int16) & 15
    return {"weight": (signed[0::2] | signed[1::2] << 4).to(torch.uint8), "weight_scale": s.T.contiguous()}
