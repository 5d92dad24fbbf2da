"""FP8 in parts: E4M3 codes and scales of quanto's ``qfloat8`` and of torchao's ``Float8Tensor``.

Formulas: optimum-quanto 0.2.7, ``tensor/qbytes.py``: codes are cast to the dtype of the scale, and multiplied by it.
torchao 0.18.0, ``quantization/quant_primitives.py``, ``_dequantize_affine_float8``: codes are cast to float32,
multiplied by the scale of their block, and the product is cast to the dtype that the header names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ..config import Config
from ..unpacked import Refused
from . import quanto_int8, torchao_int8

SLUG = "fp8_parts"
QUANTO, TORCHAO = ("weight._data", "weight._scale"), ("_weight_qdata", "_weight_scale")
MARKS = (QUANTO[0], TORCHAO[0])
LEAVES = (*QUANTO, *TORCHAO, "input_scale", "output_scale")
TYPES = ("qfloat8_e4m3fn", "qfloat8", "float8")
CLASS = "Float8Tensor"
FLOATS = (torch.float16, torch.bfloat16, torch.float32)


def names(config: Config) -> bool:
    if torchao_int8.wrote(config):
        return _entry(config).get("_type") == CLASS
    return quanto_int8.names(config) and str(_said(config).get("weights")) in TYPES


def _said(config: Config) -> Config:
    entries = config.get("quantization_map")
    own = entries.get("") if isinstance(entries, Mapping) else config
    return own if isinstance(own, Mapping) else {}


def _entry(config: Config) -> Mapping[str, Any]:
    entries = config.get("metadata")
    text = entries.get("weight") if isinstance(entries, Mapping) else None
    try:
        found: Any = json.loads(text) if isinstance(text, str) else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, Mapping) else {}


@dataclass
class Blocks:
    """Codes float8_e4m3fn [out, in]; scales [rows, columns] of equal blocks; ``wide`` is what products are made in."""

    codes: torch.Tensor
    scales: torch.Tensor
    dtype: torch.dtype
    wide: torch.dtype

    def dense(self, dtype: torch.dtype | None = None) -> torch.Tensor:
        due = dtype or self.dtype
        # A product that is rounded once only may be rounded to any dtype.
        wide = torch.float32 if due != self.dtype else self.wide
        rows, columns = (size // count for size, count in zip(self.codes.shape, self.scales.shape, strict=True))
        spread = self.scales.repeat_interleave(rows, 0).repeat_interleave(columns, 1)
        return (self.codes.to(wide) * spread.to(wide)).to(due)


def unpack(config: Config, tensors: Mapping[str, torch.Tensor]) -> Blocks:
    """Codes and scales of one module; Refused where the formulas do not apply."""
    torchao = torchao_int8.wrote(config)
    own = TORCHAO if torchao else (*QUANTO, "input_scale", "output_scale")
    if unknown := sorted(tensors.keys() - {*own, "bias"}):
        raise Refused(f"{unknown[0]} is no tensor of this format")
    for name in own[:2]:
        if name not in tensors:
            raise Refused(f"{name} is missing")
    codes, scales = tensors[own[0]], tensors[own[1]]
    if codes.dtype != torch.float8_e4m3fn or codes.ndim != 2 or codes.numel() == 0:
        raise Refused(f"{own[0]} is {codes.dtype} {tuple(codes.shape)}, expected float8_e4m3fn, two axes, none empty")
    if scales.dtype not in FLOATS or not scales.isfinite().all():
        raise Refused(f"scales are {scales.dtype}, or not all finite")
    out, inputs = codes.shape
    (rows, columns), dtype = _described(config, out, inputs) if torchao else ((1, inputs), scales.dtype)
    if out % rows or inputs % columns:
        raise Refused(f"blocks of {rows} by {columns} do not divide {out} by {inputs}")
    grid = (out // rows, inputs // columns)
    if tuple(scales.shape) != grid and not (grid == (1, 1) and tuple(scales.shape) in ((), (1,))):
        raise Refused(f"scales have shape {tuple(scales.shape)}, expected {grid}")
    return Blocks(codes, scales.reshape(grid), dtype, torch.float32 if torchao else dtype)


def _described(config: Config, out: int, inputs: int) -> tuple[tuple[int, int], torch.dtype]:
    entry = _entry(config)
    said, parts = entry.get("_data"), entry.get("_tensor_data_names")
    if not isinstance(said, Mapping) or parts != ["qdata", "scale"]:
        raise Refused(f"{str(entry)[:100]} has no attributes, or parts of another kind")
    block, dtype = said.get("block_size"), said.get("dtype")
    name = dtype.get("_data") if isinstance(dtype, Mapping) and dtype.get("_type") == "torch.dtype" else None
    if name not in torchao_int8.DTYPES:
        raise Refused(f"dtype is {dtype!r}")
    if block == [] or block is None:
        return (out, inputs), torchao_int8.DTYPES[name]
    if not isinstance(block, list) or len(block) != 2 or not all(type(size) is int and size > 0 for size in block):
        raise Refused(f"block_size is {block!r}")
    return (block[0], block[1]), torchao_int8.DTYPES[name]


def pack(
    config: Config, q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """``q`` [out, in] are the bytes of codes, ``s`` [groups, out] the scales; there are no zero points."""
    if g is not None:
        raise Refused("FP8 has no group index")
    codes, scales = TORCHAO if torchao_int8.wrote(config) else QUANTO
    return {codes: q.to(torch.uint8).view(torch.float8_e4m3fn), scales: s.T.contiguous()}
