"""torchao's ``Int8Tensor`` and ``IntxUnpackedToInt8Tensor``: one signed integer a byte, scales of blocks.

Formula: torchao 0.18.0, ``quantization/quant_primitives.py``, ``_dequantize_affine_no_dtype_check``: codes and zero
points are cast to the dtype of the weight, where both and their difference are exact; times the scale, in whichever of
the two dtypes is wider; and cast back. What a tensor is stands in the header of its file: ``prototype/safetensors``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ..config import Config, setting
from ..unpacked import Refused, check_shape

SLUG = "torchao_int8"
MARKS = ("_weight_qdata",)
LEAVES = (*MARKS, "_weight_scale", "_weight_zero_point", "_weight_act_quant_scale", "_weight_act_quant_zero_point")
CLASSES = ("Int8Tensor", "IntxUnpackedToInt8Tensor")
DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
WIDTHS = tuple(f"int{bits}" for bits in range(1, 9))
PARTS = ("qdata", "scale", "zero_point", "act_quant_scale", "act_quant_zero_point")


def wrote(config: Config) -> bool:
    return str(setting(config, "quant_method")).lower() == "torchao"


def names(config: Config) -> bool:
    return wrote(config)


@dataclass
class Blocks:
    """Codes and zero points int32, scales as stored: [out, in], and twice [out / rows, in / columns]."""

    q: torch.Tensor
    z: torch.Tensor
    s: torch.Tensor
    block: tuple[int, int]
    dtype: torch.dtype

    def dense(self, dtype: torch.dtype | None = None) -> torch.Tensor:
        due = dtype or self.dtype
        rows, columns = self.block
        out, inputs = self.q.shape
        blocks = self.q.reshape(out // rows, rows, inputs // columns, columns).to(due)
        products = (blocks - self.z[:, None, :, None].to(due)) * self.s[:, None, :, None]
        return products.reshape(out, inputs).to(due)


def packed(text: str) -> bool:
    """Whether a text in a header describes a tensor that is stored in parts."""
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and isinstance(kind := found.get("_type"), str) and kind != "Tensor"


def described(config: Config) -> tuple[tuple[int, int], torch.dtype, bool]:
    """Block, dtype, and whether there are zero points; Refused for what is none of the two classes."""
    entries = config.get("metadata")
    text = entries.get("weight") if isinstance(entries, Mapping) else None
    if not isinstance(text, str):
        raise Refused(f"nothing describes the weight: {str(text)[:100]}")
    try:
        entry: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused(f"no JSON: {error}") from error
    if not isinstance(entry, dict) or entry.get("_type") not in CLASSES:
        raise Refused(f"{text[:100]} is none of {CLASSES}")
    said, parts = entry.get("_data"), entry.get("_tensor_data_names")
    if not isinstance(said, dict) or not isinstance(parts, list) or any(part not in PARTS for part in parts):
        raise Refused(f"{text[:100]} has no attributes, or parts of another kind")
    if entry["_type"] == CLASSES[1]:
        _named(said, "target_dtype", WIDTHS)
    block = said.get("block_size")
    if not isinstance(block, list) or len(block) != 2 or not all(type(size) is int and size > 0 for size in block):
        raise Refused(f"block_size is {block!r}")
    return (block[0], block[1]), DTYPES[_named(said, "dtype", tuple(DTYPES))], "zero_point" in parts


def _named(said: Mapping[str, Any], key: str, known: tuple[str, ...]) -> str:
    value = said.get(key)
    if not isinstance(value, dict) or value.get("_type") != "torch.dtype" or value.get("_data") not in known:
        raise Refused(f"{key} is {value!r}")
    return str(value["_data"])


def unpack(config: Config, tensors: Mapping[str, torch.Tensor]) -> Blocks:
    """Codes, zero points and scales of one module; Refused where the formula does not apply."""
    (rows, columns), dtype, with_zeros = described(config)
    leaves = [leaf for leaf in LEAVES if with_zeros or leaf != "_weight_zero_point"]
    if unknown := sorted(tensors.keys() - {*leaves, "bias"}):
        raise Refused(f"{unknown[0]} is no tensor of this format")
    for name in leaves[: 3 if with_zeros else 2]:
        if name not in tensors:
            raise Refused(f"{name} is missing")
    codes, scales = tensors[LEAVES[0]], tensors[LEAVES[1]]
    zeros = tensors.get(LEAVES[2])
    if codes.dtype != torch.int8 or codes.ndim != 2 or codes.numel() == 0:
        raise Refused(f"_weight_qdata is {codes.dtype} {tuple(codes.shape)}, expected int8, two axes, none empty")
    out, inputs = codes.shape
    if out % rows or inputs % columns:
        raise Refused(f"blocks of {rows} by {columns} do not divide {out} by {inputs}")
    if scales.dtype not in DTYPES.values() or not scales.isfinite().all():
        raise Refused(f"scales are {scales.dtype}, or not finite")
    check_shape("_weight_scale", scales, (out // rows, inputs // columns))
    if zeros is None:
        zeros = torch.zeros(scales.shape, dtype=torch.int8)
    if zeros.dtype != torch.int8:
        raise Refused(f"zero points are {zeros.dtype}, expected int8")
    check_shape("_weight_zero_point", zeros, tuple(scales.shape))
    return Blocks(codes.to(torch.int32), zeros.to(torch.int32), scales, (rows, columns), dtype)


def pack(
    config: Config, q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """The tensors of codes ``q`` [out, in], counted from -128, and ``z`` and ``s`` [groups, out]."""
    if g is not None:
        raise Refused("torchao has no group index")
    found = {"_weight_qdata": (q - 128).to(torch.int8), "_weight_scale": s.T.contiguous()}
    return found | {"_weight_zero_point": (z - 128).T.contiguous().to(torch.int8)}
