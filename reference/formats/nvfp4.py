"""NVFP4: two E2M1 codes a byte, a scale E4M3 for 16 inputs, and a scale float32 of the matrix.

Formulas: nvidia-modelopt 0.47.0, ``quantization/qtensor/nvfp4_tensor.py`` (``NVFP4QTensor.dequantize``), whose table
has +0 for code 8; compressed-tensors 0.19.0, ``compressors/nvfp4/base.py`` and ``_dequantize`` of
``quantization/lifecycle/forward_helpers.py``, which divides by the scale of the matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ..config import Config, setting
from ..dialects import group_of, only_group
from ..unpacked import Refused

SLUG = "nvfp4"
MARKS = ("weight_packed", "weight_scale", "weight_scale_2", "weight_global_scale")
LEAVES = ("weight_packed", "weight", *MARKS[1:], "input_scale", "input_global_scale")

COMPRESSED = "nvfp4-pack-quantized"
MODELOPT = ("nvfp4", "w4a16_nvfp4", "w4a8_nvfp4_fp8")
GROUP = 16
IGNORED = ("input_scale", "input_global_scale", "k_scale", "v_scale", "bias")
VALUES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)


def names(config: Config) -> bool:
    """Whether the config is of this format."""
    if setting(config, "quant_method") == "modelopt":
        return str(config.get("quant_algo")).lower() in MODELOPT
    return _compressed(config)


def _compressed(config: Config) -> bool:
    return "config_groups" in config and group_of(config) == (COMPRESSED, "float")


@dataclass
class Groups:
    """Values float32 of the codes [..., out, in], and scales float32 [..., out, in / 16]."""

    values: torch.Tensor
    scales: torch.Tensor

    def dense(self, dtype: torch.dtype | None = None) -> torch.Tensor:
        """The float32 product of a value and its scale, rounded to ``dtype`` or bfloat16."""
        products = self.values.reshape(*self.scales.shape, GROUP) * self.scales[..., None]
        return products.flatten(-2).to(dtype or torch.bfloat16)


def unpack(config: Config, tensors: Mapping[str, torch.Tensor]) -> Groups:
    """Values and scales of one module; Refused where the formulas do not apply."""
    compressed = _compressed(config)
    _check_groups(config, compressed)
    leaf, whole = ("weight_packed", "weight_global_scale") if compressed else ("weight", "weight_scale_2")
    for name in (leaf, "weight_scale", whole):
        if name not in tensors:
            raise Refused(f"needs {name}, found {sorted(tensors)}")
    for name in tensors:
        if name not in (leaf, "weight_scale", whole, *IGNORED):
            raise Refused(f"{name} is no tensor of NVFP4 beside {leaf}")
    packed, scales, number = tensors[leaf], tensors["weight_scale"], tensors[whole]
    if packed.dtype != torch.uint8 or number.dtype != torch.float32:
        raise Refused(f"{leaf} is {packed.dtype}, {whole} {number.dtype}; expected uint8 and float32")
    if scales.dtype != torch.float8_e4m3fn:
        raise Refused(f"weight_scale is {scales.dtype}, expected float8_e4m3fn")
    if scales.ndim not in (2, 3) or scales.numel() == 0:
        raise Refused(f"weight_scale has shape {tuple(scales.shape)}, expected two axes or three, none empty")
    if packed.shape != (*scales.shape[:-1], scales.shape[-1] * GROUP // 2):
        raise Refused(f"{leaf} has shape {tuple(packed.shape)}, weight_scale {tuple(scales.shape)}")
    wide = scales.to(torch.float32)
    number = _number(number, scales, compressed)
    combined = wide / number if compressed else wide * number
    if not (wide.isfinite().all() and number.isfinite().all() and combined.isfinite().all()):
        raise Refused("scales are not all finite")
    codes = torch.empty(*packed.shape[:-1], packed.shape[-1] * 2, dtype=torch.uint8)
    codes[..., 0::2] = packed & 15
    codes[..., 1::2] = packed >> 4
    magnitudes = torch.tensor(VALUES)[(codes & 7).long()]
    negative = codes >= 8 if compressed else codes > 8
    return Groups(torch.where(negative, -magnitudes, magnitudes), combined)


def pack(
    config: Config, q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """``q`` [..., out, in] are codes, ``s`` [..., out, in / 16] scales float8_e4m3fn; that of the matrix is 1."""
    codes, one = q.to(torch.uint8), torch.ones(1)
    packed = codes[..., 0::2] | (codes[..., 1::2] << 4)
    if _compressed(config):
        return {"weight_packed": packed, "weight_scale": s, "weight_global_scale": one}
    return {"weight": packed, "weight_scale": s, "weight_scale_2": one.reshape(())}


def _number(number: torch.Tensor, scales: torch.Tensor, compressed: bool) -> torch.Tensor:
    """The scale of the matrix, or of each expert, to be broadcast to ``scales``."""
    experts = scales.shape[0] if scales.ndim == 3 else 0
    if number.shape == (1,) or (number.ndim == 0 and not compressed):
        return number.reshape(())
    if experts and tuple(number.shape) in ((experts,), (experts, 1), (experts, 1, 1)):
        return number.reshape(experts, 1, 1)
    raise Refused(f"the scale of the matrix has shape {tuple(number.shape)}")


def _check_groups(config: Config, compressed: bool) -> None:
    if compressed:
        weights = only_group(config)["weights"]
        if weights.get("num_bits") != 4 or weights.get("group_size") != GROUP:
            raise Refused(f"{weights}: NVFP4 has 4 bits and groups of {GROUP}")
        if weights.get("strategy") not in ("tensor_group", "group") or weights.get("symmetric", True) is not True:
            raise Refused(f"{weights}: NVFP4 is symmetric, of strategy tensor_group")
    elif config.get("group_size") not in (None, GROUP):
        raise Refused(f"group_size is {config['group_size']!r}, expected {GROUP}")
