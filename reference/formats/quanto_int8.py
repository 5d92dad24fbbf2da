"""quanto's ``qint8``: one signed byte a code, one scale an output.

Formula: optimum-quanto 0.2.7, ``tensor/qbytes.py``, ``QBytesDequantizer``: the scale times the code, in the dtype of
the scale. Codes are counted from -128 here, so that they are unsigned.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ..config import Config, setting
from ..unpacked import Refused, Unpacked, check_scales, check_shape

SLUG = "quanto_int8"
MARKS = ("weight._data",)
LEAVES = (*MARKS, "weight._scale", "input_scale", "output_scale")
WIDTHS = ("qint8", "int8")


def names(config: Config) -> bool:
    return str(setting(config, "quant_method")).lower() == "quanto"


def of_module(config: Config, module: str) -> dict[str, Any]:
    """What the map of a checkpoint says of a module, or what is true of all."""
    entries = config.get("quantization_map")
    if entries is None:
        return dict(config)
    if not isinstance(entries, Mapping) or not isinstance(entries.get(module), Mapping):
        raise Refused(f"the map has no entry for {module!r}")
    return {"quant_method": "quanto"} | dict(entries[module])


def unpack(config: Config, tensors: Mapping[str, torch.Tensor]) -> Unpacked:
    """Codes and scales of one module; Refused where the formula does not apply."""
    said = of_module(config, "").get("weights")
    if said not in WIDTHS:
        raise Refused(f"weights are {said!r}, expected one of {WIDTHS}")
    if unknown := sorted(tensors.keys() - {*LEAVES, "bias"}):
        raise Refused(f"{unknown[0]} is no tensor of this format")
    for name in LEAVES[:2]:
        if name not in tensors:
            raise Refused(f"{name} is missing")
    codes, scales = tensors["weight._data"], tensors["weight._scale"]
    if codes.dtype != torch.int8 or codes.ndim != 2 or codes.numel() == 0:
        raise Refused(f"weight._data is {codes.dtype} {tuple(codes.shape)}, expected int8, two axes, none empty")
    if scales.ndim == 0 and len(codes) == 1:
        # quanto drops both axes of a single scale.
        scales = scales.reshape(1, 1)
    check_scales(scales)
    check_shape("weight._scale", scales, (len(codes), 1))
    q, s = codes.to(torch.int32) + 128, scales.T.contiguous()
    return Unpacked(q, torch.full(s.shape, 128, dtype=torch.int32), s, torch.zeros(q.shape[1], dtype=torch.int64))


def pack(
    config: Config, q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """The tensors of codes ``q`` [out, in], counted from -128, and scales ``s`` [1, out]."""
    if g is not None:
        raise Refused("qint8 has no group index")
    return {"weight._data": (q - 128).to(torch.int8), "weight._scale": s.T.contiguous()}
