"""compressed-tensors' ``int-quantized`` and ``naive-quantized``: one signed integer a byte.

Formulas: compressed-tensors 0.19.0, ``compressors/naive_quantized/base.py`` and ``quantization/lifecycle/forward.py``
(``dequantize``). Codes and zero points are counted from -128 here, so that they are unsigned.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ..config import Config
from ..dialects import arguments, group_of
from ..unpacked import Refused, Unpacked

SLUG = "ct_int"
LEAVES = ("weight", "weight_scale", "weight_zero_point", "input_scale", "input_zero_point")
MARKS = ("weight_scale",)
WIDTHS = range(2, 9)


def names(config: Config) -> bool:
    return "config_groups" in config and group_of(config) in (("int-quantized", "int"), ("naive-quantized", "int"))


def unpack(config: Config, tensors: Mapping[str, torch.Tensor]) -> Unpacked:
    """Codes, zero points, scales and groups of one module; Refused where the formulas do not apply."""
    given = arguments(config, WIDTHS)
    for name in ("weight", "weight_scale", *(() if given.symmetric else ("weight_zero_point",))):
        if name not in tensors:
            raise Refused(f"{name} is missing")
    if unknown := sorted(tensors.keys() - {*LEAVES, "bias"}):
        raise Refused(f"{unknown[0]} is no tensor of this format")
    weight = tensors["weight"]
    if weight.dtype != torch.int8 or weight.ndim != 2 or weight.numel() == 0:
        raise Refused(f"weight is {weight.dtype} {tuple(weight.shape)}, expected int8, two axes, none empty")
    out, inputs = weight.shape
    scales = given.scales(tensors["weight_scale"], out)
    if given.strategy == "group" and len(scales) * given.size != inputs:
        raise Refused(f"{len(scales)} groups of {given.size} do not make {inputs} inputs")
    z = torch.full((len(scales), out), 128, dtype=torch.int32)
    if not given.symmetric:
        zero = tensors["weight_zero_point"]
        if zero.dtype != torch.int8 or zero.shape != tensors["weight_scale"].shape:
            raise Refused(f"weight_zero_point is {zero.dtype} {tuple(zero.shape)}, expected int8 like the scales")
        z = (zero.reshape(out, -1).T if zero.numel() > 1 else zero.reshape(1, 1).expand(1, out)).to(torch.int32) + 128
    g = torch.arange(inputs) // (given.size if given.strategy == "group" else inputs)
    return Unpacked(weight.to(torch.int32) + 128, z, scales, g)


def pack(
    config: Config, q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """The tensors compressed-tensors would store: ``q`` [out, in], ``z`` and ``s`` [groups, out]."""
    if g is not None:
        raise Refused("int-quantized has no group index")
    given = arguments(config, WIDTHS)

    def spread(values: torch.Tensor) -> torch.Tensor:
        return values[0, :1] if given.strategy == "tensor" else values.T.contiguous()

    found = {"weight": (q - 128).to(torch.int8), "weight_scale": spread(s)}
    return found if given.symmetric else found | {"weight_zero_point": spread((z - 128).to(torch.int8))}
