"""quanto's ``qint4`` and ``qint2``: codes in rows of a group each, with a scale and a shift that are floats.

Formula: optimum-quanto 0.2.7, ``library/unpack.py`` and ``tensor/qbits.py``, ``QBitsDequantizer``: the scale times the
code, less the shift, both steps in the dtype of the scales, and the whole reshaped to the size that its caller knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ..config import Config
from ..unpacked import Refused, check_scales, check_shape
from . import quanto_int8

SLUG = "quanto_int4"
MARKS = ("weight._data._data",)
LEAVES = (*MARKS, "weight._scale", "weight._shift", "input_scale", "output_scale")
WIDTHS = {"qint4": 4, "int4": 4, "qint2": 2, "int2": 2}


def names(config: Config) -> bool:
    return quanto_int8.names(config) and str(_said(config).get("weights")) in WIDTHS


def _said(config: Config) -> Config:
    """What is true of a module whose name nobody knows."""
    entries = config.get("quantization_map")
    own = entries.get("") if isinstance(entries, Mapping) else config
    return own if isinstance(own, Mapping) else {}


def features(config: Mapping[str, Any], module: str) -> dict[str, int]:
    """Outputs and inputs of a layer of transformers' Llama and Qwen2 by its name; nothing of others."""
    if config.get("model_type") not in ("llama", "qwen2"):
        return {}
    hidden, wide, heads = (int(config[key]) for key in ("hidden_size", "intermediate_size", "num_attention_heads"))
    each = int(config.get("head_dim") or hidden // heads)
    few = each * int(config.get("num_key_value_heads") or heads)
    sizes = {
        "q_proj": (heads * each, hidden),
        "k_proj": (few, hidden),
        "v_proj": (few, hidden),
        "o_proj": (hidden, heads * each),
        "gate_proj": (wide, hidden),
        "up_proj": (wide, hidden),
        "down_proj": (hidden, wide),
        "lm_head": (int(config["vocab_size"]), hidden),
    }
    found = sizes.get(module.rpartition(".")[2])
    return {} if found is None else {"out_features": found[0], "in_features": found[1]}


@dataclass
class Lowered:
    """Codes [groups, group]; scales and shifts [groups, 1]; the shape of the matrix."""

    codes: torch.Tensor
    scales: torch.Tensor
    shifts: torch.Tensor
    shape: tuple[int, int]

    def dense(self, dtype: torch.dtype | None = None) -> torch.Tensor:
        """Two roundings, in the dtype of the scales; one more where another dtype is asked for."""
        found = self.scales * self.codes.to(self.scales.dtype)
        found = found - self.shifts
        return found.reshape(self.shape).to(dtype or self.scales.dtype)


def unpack(config: Config, tensors: Mapping[str, torch.Tensor]) -> Lowered:
    """Codes, scales and shifts of one module; Refused where the formula does not apply."""
    said = _said(config)
    if said.get("weights") not in WIDTHS:
        raise Refused(f"weights are {said.get('weights')!r}, expected one of {tuple(WIDTHS)}")
    bits, columns = WIDTHS[said["weights"]], said.get("in_features")
    if type(columns) is not int or columns < 1:
        raise Refused(f"in_features is {columns!r}: nothing says how many groups make an output")
    if unknown := sorted(tensors.keys() - {*LEAVES, "bias"}):
        raise Refused(f"{unknown[0]} is no tensor of this format")
    for name in LEAVES[:3]:
        if name not in tensors:
            raise Refused(f"{name} is missing")
    packed, scales, shifts = (tensors[name] for name in LEAVES[:3])
    if packed.dtype != torch.uint8 or packed.ndim != 2 or packed.numel() == 0:
        raise Refused(f"{LEAVES[0]} is {packed.dtype} {tuple(packed.shape)}, expected uint8, two axes, none empty")
    check_scales(scales)
    if scales.ndim != 2:
        raise Refused(f"weight._scale has shape {tuple(scales.shape)}, expected two axes")
    groups, group = len(scales), packed.shape[1]
    check_shape("weight._scale", scales, (groups, 1))
    check_shape("weight._shift", shifts, (groups, 1))
    if shifts.dtype != scales.dtype or not shifts.isfinite().all():
        raise Refused(f"weight._shift is {shifts.dtype}, not all of it finite numbers of {scales.dtype}")
    check_shape(LEAVES[0], packed, (-(-groups // (8 // bits)), group))
    if columns % group or groups * group % columns:
        raise Refused(f"{groups} groups of {group} are no rows of {columns}")
    if said.get("out_features") not in (None, groups * group // columns):
        raise Refused(f"{groups} groups of {group} are no {said['out_features']} rows of {columns}")
    codes = torch.cat([(packed >> place) & ((1 << bits) - 1) for place in range(0, 8, bits)])[:groups]
    return Lowered(codes, scales, shifts, (groups * group // columns, columns))


def pack(
    config: Config, q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """``q`` [out, in], shifts ``z`` and ``s`` [groups, out]; groups are consecutive inputs."""
    if g is not None:
        raise Refused("quanto has no group index")
    bits = WIDTHS[config["weights"]]
    held, folded = 8 // bits, q.reshape(-1, q.shape[1] // len(s)).to(torch.uint8)
    height = -(-len(folded) // held)
    words = torch.zeros(height, folded.shape[1], dtype=torch.uint8)
    for row, codes in enumerate(folded):
        words[row % height] |= codes << (bits * (row // height))
    return {
        "weight._data._data": words,
        "weight._scale": s.T.reshape(-1, 1).contiguous(),
        "weight._shift": z.T.reshape(-1, 1).to(s.dtype).contiguous(),
    }
