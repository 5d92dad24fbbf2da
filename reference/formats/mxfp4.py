"""MXFP4: two E2M1 codes a byte, and the exponent of a power of two for 32 inputs.

Formula: transformers 5.23.0, ``integrations/mxfp4.py`` (``convert_moe_packed_tensors``), without its last exchange of
axes; compressed-tensors 0.19.0 (``MXFP4PackedCompressor.decompress``) and nvidia-modelopt 0.47.0
(``MXFP4QTensor.dequantize``) give the same weights of their tensors, and so does transformers of DeepSeek V4's experts
(``integrations/finegrained_fp8.py``, ``Fp8Dequantize._dequantize_one``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ..config import Config, setting
from ..dialects import group_of, of_fours, only_group, quark, quark_scheme, quark_type, quark_weight
from ..unpacked import Refused

SLUG = "mxfp4"
LEAVES = ("_blocks", "_scales", "weight_packed", "weight", "weight_scale", "scale", "input_scale", "input_global_scale")
MARKS = ("_blocks", "weight_packed", "weight_scale")

COMPRESSED = "mxfp4-pack-quantized"
MODELOPT = ("mxfp4", "w4a8_mxfp4_fp8")
GROUP = 32
VALUES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
IGNORED = ("input_scale", "input_global_scale", "k_scale", "v_scale", "bias")


def names(config: Config) -> bool:
    """Whether the config is of this format."""
    method = setting(config, "quant_method")
    if method == "modelopt":
        return str(config.get("quant_algo")).lower() in MODELOPT
    return (
        of_fours(config)
        or quark_type(config) == "fp4"
        or method == SLUG
        or ("config_groups" in config and group_of(config) == (COMPRESSED, "float"))
    )


@dataclass
class Exponents:
    """Codes uint8 [..., out, in] of four bits, and exponents int32 [..., out, in / 32]."""

    codes: torch.Tensor
    exponents: torch.Tensor

    def dense(self, dtype: torch.dtype | None = None) -> torch.Tensor:
        """``W = value * 2 ** exponent``, rounded to ``dtype`` or bfloat16. The product is exact in float64."""
        magnitudes = torch.tensor(VALUES, dtype=torch.float64)[(self.codes & 7).long()]
        values = torch.where(self.codes >= 8, -magnitudes, magnitudes)
        powers = torch.pow(torch.tensor(2.0, dtype=torch.float64), self.exponents.double())
        exact = values.reshape(*powers.shape, GROUP) * powers[..., None]
        # Three significant bits: what float32 cannot hold of them is too large for every dtype.
        return exact.flatten(-2).to(torch.float32).to(dtype or torch.bfloat16)


def unpack(config: Config, tensors: Mapping[str, torch.Tensor]) -> Exponents:
    """Codes and exponents of one module; Refused where the formulas do not apply."""
    _check_groups(config)
    others = (("_blocks", "_scales"), ("weight_packed", "weight_scale"), ("weight", "weight_scale"))
    pairs = (("weight", "scale"),) if of_fours(config) else others
    pair = next((pair for pair in pairs if pair[0] in tensors), None)
    if pair is None or pair[1] not in tensors:
        raise Refused(f"needs codes and scales, found {sorted(tensors)}")
    for name in tensors:
        if name not in (*pair, *IGNORED):
            raise Refused(f"{name} is no tensor of MXFP4 beside {pair[0]}")
    packed, scales = tensors[pair[0]], tensors[pair[1]]
    stored = torch.int8 if pair[1] == "scale" else torch.uint8
    if packed.dtype != stored:
        raise Refused(f"{pair[0]} is {packed.dtype}, expected {stored}")
    packed = packed.view(torch.uint8)
    if scales.dtype not in (torch.uint8, torch.float8_e8m0fnu):
        raise Refused(f"{pair[1]} is {scales.dtype}, expected bytes")
    scales = scales.view(torch.uint8)
    if scales.ndim not in (2, 3) or scales.numel() == 0:
        raise Refused(f"{pair[1]} has shape {tuple(scales.shape)}, expected two axes or three, none empty")
    if pair[0] == "_blocks":
        if packed.shape != (*scales.shape, GROUP // 2):
            raise Refused(f"_blocks have shape {tuple(packed.shape)}, scales {tuple(scales.shape)}")
        packed = packed.flatten(-2)
    if packed.shape != (*scales.shape[:-1], scales.shape[-1] * GROUP // 2):
        raise Refused(f"{pair[0]} has shape {tuple(packed.shape)}, scales {tuple(scales.shape)}")
    if bool((scales == 255).any()):
        raise Refused("a scale is NaN")
    codes = torch.empty(*packed.shape[:-1], packed.shape[-1] * 2, dtype=torch.uint8)
    codes[..., 0::2] = packed & 15
    codes[..., 1::2] = packed >> 4
    return Exponents(codes, scales.to(torch.int32) - 127)


def pack(
    config: Config, q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """``q`` [..., out, in] are codes, ``s`` [..., out, in / 32] bytes; there are no zero points."""
    codes = q.to(torch.uint8)
    packed = codes[..., 0::2] | (codes[..., 1::2] << 4)
    if setting(config, "quant_method") == SLUG:
        return {"_blocks": packed.reshape(*s.shape, GROUP // 2), "_scales": s}
    compressed = "config_groups" in config
    return {"weight_packed" if compressed else "weight": packed, "weight_scale": s}


def _check_groups(config: Config) -> None:
    if "config_groups" in config:
        weights = only_group(config)["weights"]
        found = [weights.get(key) for key in ("num_bits", "strategy", "group_size")]
        if found != [4, "group", GROUP] or weights.get("symmetric", True) is not True:
            raise Refused(f"{weights}: MXFP4 has 4 bits and groups of {GROUP}")
    elif quark(config):
        weight = quark_weight(config)
        if (quark_scheme(config), weight.get("group_size"), weight.get("scale_format")) != ("per_group", GROUP, "e8m0"):
            raise Refused(f"{weight}: MXFP4 has groups of {GROUP} and scales of e8m0")
    elif setting(config, "quant_method") == "modelopt" and config.get("group_size") not in (None, GROUP):
        raise Refused(f"group_size is {config['group_size']!r}, expected {GROUP}")
