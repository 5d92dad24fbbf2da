"""torchao's ``MXTensor`` and ``NVFP4Tensor``: floats of 8 or 4 bits, whose scales are floats of 8 bits.

Formulas: torchao 0.18.0, ``prototype/mx_formats``. ``mx_tensor.py``, ``to_dtype``: codes and scales are cast to the
dtype of the weight, where all of both are exact, and multiplied. ``nvfp4_tensor.py``, ``dequantize``: scales times that
of the matrix, where there is one, and codes times those, all in float32; then the cast. ``utils.py``, ``from_blocked``,
undoes the tiles of swizzled scales. What a tensor is stands in the header of its file: ``prototype/safetensors``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ..config import Config
from ..unpacked import Refused, check_shape
from . import torchao_int8

SLUG = "torchao_mx"
CODES, SCALES, WHOLE = "_weight_qdata", "_weight_scale", "_weight_per_tensor_scale"
MARKS = (CODES,)
LEAVES = (CODES, SCALES, WHOLE, "_weight_act_per_tensor_scale")
MX, NVFP4 = "MXTensor", "NVFP4Tensor"
ELEMENTS = {"float8_e4m3fn": torch.float8_e4m3fn, "float4_e2m1fn_x2": torch.uint8}
MAGNITUDES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)


def names(config: Config) -> bool:
    return torchao_int8.wrote(config) and _entry(config).get("_type") in (MX, NVFP4)


def _entry(config: Config) -> Mapping[str, Any]:
    entries = config.get("metadata")
    text = entries.get("weight") if isinstance(entries, Mapping) else None
    try:
        found: Any = json.loads(text) if isinstance(text, str) else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, Mapping) else {}


@dataclass
class Groups:
    """Values float32 of the codes [out, in], and scales float32 [out, groups]."""

    values: torch.Tensor
    scales: torch.Tensor
    dtype: torch.dtype

    def dense(self, dtype: torch.dtype | None = None) -> torch.Tensor:
        """Products in float32, where those with a power of two are exact, cast to ``dtype`` or the header's."""
        out, groups = self.scales.shape
        products = self.values.reshape(out, groups, -1) * self.scales[..., None]
        return products.flatten(1).to(dtype or self.dtype)


def unpack(config: Config, tensors: Mapping[str, torch.Tensor]) -> Groups:
    """Values and scales of one module; Refused where the formulas do not apply."""
    kind, element, swizzled, whole, dtype = _described(config)
    due = (CODES, SCALES, WHOLE) if whole else (CODES, SCALES)
    for name in due:
        if name not in tensors:
            raise Refused(f"{name} is missing")
    if unknown := sorted(tensors.keys() - {*due, LEAVES[3], "bias"}):
        raise Refused(f"{unknown[0]} is no tensor of this format")
    codes, scales = tensors[CODES], tensors[SCALES]
    if codes.dtype != element or codes.ndim != 2 or codes.numel() == 0:
        raise Refused(f"{CODES} is {codes.dtype} {tuple(codes.shape)}, expected {element}, two axes, none empty")
    if scales.dtype != (torch.float8_e8m0fnu if kind == MX else torch.float8_e4m3fn):
        raise Refused(f"{SCALES} is {scales.dtype} beside {kind}")
    values = codes.float() if element != torch.uint8 else _fours(codes)
    out, inputs = values.shape
    groups, rest = divmod(inputs, 32 if kind == MX else 16)
    if rest:
        raise Refused(f"{inputs} inputs are no whole groups of {kind}")
    scales = _in_rows(scales, out, groups) if swizzled else scales
    check_shape(SCALES, scales, (out, groups))
    numbers = _powers(scales) if kind == MX else scales.float()
    if whole:
        number = tensors[WHOLE]
        if number.dtype != torch.float32 or number.ndim:
            raise Refused(f"{WHOLE} is {number.dtype} {tuple(number.shape)}, expected one float32 without axes")
        if not (numbers.isfinite().all() and number.isfinite()):
            raise Refused("scales are not all finite")
        numbers = number * numbers
    if not numbers.isfinite().all():
        raise Refused("scales are not all finite")
    return Groups(values, numbers, dtype)


def _powers(scales: torch.Tensor) -> torch.Tensor:
    exponents = scales.view(torch.uint8).to(torch.int32)
    powers = torch.pow(torch.tensor(2.0, dtype=torch.float64), exponents.double() - 127).float()
    return torch.where(exponents == 255, torch.nan, powers)


def _fours(packed: torch.Tensor) -> torch.Tensor:
    codes = torch.stack([packed & 15, packed >> 4], dim=-1).flatten(1)
    magnitudes = torch.tensor(MAGNITUDES)[(codes & 7).long()]
    return torch.where(codes >= 8, -magnitudes, magnitudes)


def _in_rows(blocked: torch.Tensor, out: int, groups: int) -> torch.Tensor:
    """[out, groups] of scales in tiles of 128 outputs by 4 groups, whose rows are dealt out to 32 rows in turn."""
    down, across = -(-out // 128), -(-groups // 4)
    check_shape(SCALES, blocked, (32 * down, 16 * across))
    found = torch.empty(128 * down, 4 * across, dtype=torch.uint8)
    flat = blocked.view(torch.uint8).flatten()
    for row in range(down):
        for column in range(across):
            start = (row * across + column) * 512
            tile = flat[start : start + 512].view(32, 16)
            for strip in range(4):
                first = 128 * row + 32 * strip
                found[first : first + 32, 4 * column : 4 * column + 4] = tile[:, 4 * strip : 4 * strip + 4]
    return found[:out, :groups].contiguous().view(blocked.dtype)


def _described(config: Config) -> tuple[str, torch.dtype, bool, bool, torch.dtype]:
    """Class, dtype of codes, whether scales are swizzled, whether the matrix has one, and the dtype of the weight."""
    entry = _entry(config)
    kind, said, parts = str(entry.get("_type")), entry.get("_data"), entry.get("_tensor_data_names")
    optional = ("per_tensor_scale", "act_per_tensor_scale") if kind == NVFP4 else ()
    if not isinstance(said, Mapping) or not isinstance(parts, list):
        raise Refused(f"{str(entry)[:100]} has no attributes, or no parts")
    if any(not isinstance(part, str) or part not in ("qdata", "scale", *optional) for part in parts):
        raise Refused(f"{kind} of {parts}")
    size, swizzled = said.get("block_size"), said.get("is_swizzled_scales", False if kind == NVFP4 else None)
    if type(size) is not int or size != (32 if kind == MX else 16) or type(swizzled) is not bool:
        raise Refused(f"blocks of {str(size)[:100]}, swizzled {str(swizzled)[:100]}")
    element = "float4_e2m1fn_x2" if kind == NVFP4 else _dtype(said, "elem_dtype")
    dtype = torchao_int8.DTYPES.get(_dtype(said, "orig_dtype"))
    if element not in ELEMENTS or dtype is None or (kind == MX and dtype == torch.float16):
        raise Refused(f"{kind} of {element} in {dtype}")
    return kind, ELEMENTS[element], swizzled, "per_tensor_scale" in parts, dtype


def _dtype(said: Mapping[str, Any], key: str) -> str:
    value = said.get(key)
    if not isinstance(value, Mapping) or value.get("_type") != "torch.dtype":
        raise Refused(f"{key} is {str(value)[:100]}")
    return str(value.get("_data"))


def pack(
    config: Config, q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """``q`` [out, in] are codes, ``s`` [out, groups] scales as floats of 8 bits; the matrix has a scale of 1."""
    if g is not None:
        raise Refused("torchao has no group index")
    _, element, swizzled, whole, _ = _described(config)
    codes = q.to(torch.uint8)
    packed = codes.view(element) if element != torch.uint8 else codes[:, 0::2] | (codes[:, 1::2] << 4)
    out, groups = s.shape
    if swizzled:
        down, across = -(-out // 128), -(-groups // 4)
        room = torch.zeros(128 * down, 4 * across, dtype=torch.uint8)
        room[:out, :groups] = s.view(torch.uint8)
        tiles = room.view(down, 4, 32, across, 4).permute(0, 3, 2, 1, 4)
        s = tiles.reshape(32 * down, 16 * across).view(s.dtype)
    return {CODES: packed, SCALES: s} | ({WHOLE: torch.ones(())} if whole else {})
