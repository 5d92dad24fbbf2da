"""bitsandbytes NF4 and FP4: two codes a byte over the flattened matrix, and a scale for each block of it.

Formulas: bitsandbytes 0.50.2, ``functional.py`` (``QuantState.from_dict``, ``dequantize_4bit``, ``get_4bit_type``), and
``backends/default/ops.py`` (``_dequantize_blockwise_compute``, ``_dequantize_4bit_compute``) but for the sign of one
zero, which is that of the compiled kernels.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ..config import Config, setting
from ..unpacked import Refused

SLUG = "bnb_4bit"
STATES = {kind: f"weight.quant_state.bitsandbytes__{kind}" for kind in ("nf4", "fp4")}
MARKS = ("weight.absmax", *STATES.values())
LEAVES = (*MARKS, "weight", "weight.quant_map", "weight.nested_absmax", "weight.nested_quant_map")
# Codes may be stored as floats: a module that has one of these is packed whatever dtype its weight has.
PACKED = tuple(STATES.values())

BLOCKS = tuple(1 << power for power in range(5, 13))
DTYPES = {name: getattr(torch, name) for name in ("float16", "bfloat16", "float32")}
STORED = (torch.uint8, torch.int8, *DTYPES.values())


def bits_of(config: Config) -> int | None:
    """4 or 8, or None for the config of another method; a file without a method is known by its keys."""
    method = setting(config, "quant_method")
    said = {
        bits: {config[key] for key in (f"load_in_{bits}bit", f"_load_in_{bits}bit") if config.get(key) is not None}
        for bits in (4, 8)
    }
    if method != "bitsandbytes" and (method is not None or not (said[4] | said[8])):
        return None
    if any(len(values) > 1 or any(type(value) is not bool for value in values) for values in said.values()):
        raise Refused(f"load_in_4bit and load_in_8bit are not true or false, or spelt in two ways: {said}")
    if (True in said[4]) == (True in said[8]):
        raise Refused(f"neither, or both, of 4 and 8 bits: {said}")
    return 4 if True in said[4] else 8


def names(config: Config) -> bool:
    return bits_of(config) == 4


def table(kind: str) -> torch.Tensor:
    """float32 [16]. FP4 has a sign, two bits of exponent and one of fraction, divided by its largest number."""
    if kind == "fp4":
        half = torch.tensor([0, 0.0625, 8, 12, 4, 6, 2, 3], dtype=torch.float32) / 12
        return torch.cat([half, -half])
    return torch.tensor(
        [
            -1.0,
            -0.6961928009986877,
            -0.5250730514526367,
            -0.39491748809814453,
            -0.28444138169288635,
            -0.18477343022823334,
            -0.09105003625154495,
            0.0,
            0.07958029955625534,
            0.16093020141124725,
            0.24611230194568634,
            0.33791524171829224,
            0.44070982933044434,
            0.5626170039176941,
            0.7229568362236023,
            1.0,
        ]
    )


@dataclass
class Flat:
    """Codes int64 [out * in], the numbers they stand for float32 [16], scales float32 [blocks] of ``block`` weights."""

    codes: torch.Tensor
    values: torch.Tensor
    scales: torch.Tensor
    block: int
    shape: tuple[int, int]
    dtype: torch.dtype

    def dense(self, dtype: torch.dtype | None = None) -> torch.Tensor:
        """Each weight is the float32 product of a number and a scale, then rounded to ``dtype``."""
        own = torch.arange(len(self.codes)) // self.block
        return (self.values[self.codes] * self.scales[own]).reshape(self.shape).to(dtype or self.dtype)


def unpack(config: Config, tensors: Mapping[str, torch.Tensor]) -> Flat:
    """Codes and scales of one module; Refused where the formulas do not apply."""
    if str(config.get("bnb_4bit_quant_type") or "fp4").lower() not in STATES:
        raise Refused(f"bnb_4bit_quant_type is {config['bnb_4bit_quant_type']!r}")
    if unknown := sorted(tensors.keys() - {*LEAVES, "bias"}):
        raise Refused(f"{unknown[0]} is no tensor of this format")
    kinds = [kind for kind, name in STATES.items() if name in tensors]
    if len(kinds) != 1 or not {"weight", "weight.absmax", "weight.quant_map"} <= tensors.keys():
        raise Refused(f"needs weight, weight.absmax, weight.quant_map and one quant_state, found {sorted(tensors)}")
    state, values = _state(tensors[STATES[kinds[0]]], kinds[0]), table(kinds[0])
    stored = tensors["weight.quant_map"]
    if stored.dtype != torch.float32 or stored.shape != (16,) or not ((stored - values).abs() <= 1e-6).all():
        raise Refused("weight.quant_map is not that of its type")
    weight, shape, block = tensors["weight"], state["shape"], state["blocksize"]
    count = math.prod(shape)
    size = weight.numel() * weight.element_size()
    if weight.dtype not in STORED or weight.ndim != 2 or weight.shape[1] != 1 or len(weight) < 2:
        raise Refused(f"weight is {weight.dtype} {tuple(weight.shape)}, expected a column")
    if size != (count + 1) // 2:
        raise Refused(f"weight has {size} bytes, and {shape} of 4 bits take {(count + 1) // 2}")
    octets = weight.contiguous().view(torch.uint8).reshape(-1).to(torch.int64)
    codes = torch.stack([octets >> 4, octets & 15], dim=1).reshape(-1)[:count]
    scales = _scales(state, tensors, (count + block - 1) // block)
    return Flat(codes, values, scales, block, shape, DTYPES[state["dtype"]])


def pack(
    config: Config, q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """``q`` [out, in] are codes, ``s`` [blocks] scales of 64 weights; there are no zero points."""
    kind = str(config["bnb_4bit_quant_type"])
    flat = torch.cat([q.reshape(-1), torch.zeros(q.numel() % 2, dtype=q.dtype)]).to(torch.uint8)
    dtype = str(s.dtype).rpartition(".")[2]
    said = json.dumps({"quant_type": kind, "blocksize": 64, "dtype": dtype, "shape": list(q.shape)})
    return {
        "weight": (flat[::2] << 4 | flat[1::2]).reshape(-1, 1),
        "weight.absmax": s,
        "weight.quant_map": table(kind),
        STATES[kind]: torch.tensor(list(said.encode()), dtype=torch.uint8),
    }


def _state(packed: torch.Tensor, kind: str) -> dict[str, Any]:
    if packed.dtype != torch.uint8 or packed.numel() > 4096:
        raise Refused(f"quant_state is {packed.dtype} of {packed.numel()} elements")
    try:
        state = json.loads(bytes(packed.contiguous().numpy()).decode())
    except (ValueError, RecursionError) as error:
        raise Refused(f"quant_state is not JSON: {error}") from error
    if not isinstance(state, dict):
        raise Refused("quant_state is no object")
    nested = {"nested_blocksize", "nested_dtype", "nested_offset"} if any("nested" in key for key in state) else set()
    if state.keys() != {"quant_type", "blocksize", "dtype", "shape"} | nested:
        raise Refused(f"quant_state has {sorted(state)}")
    shape, offset = state["shape"], state.get("nested_offset", 0.0)
    if state["quant_type"] != kind or state["dtype"] not in tuple(DTYPES) or type(offset) not in (int, float):
        raise Refused(f"quant_state says {state}")
    for key in ("blocksize", "nested_blocksize"):
        if key in state and (type(state[key]) is not int or state[key] not in BLOCKS):
            raise Refused(f"{key} is {state[key]!r}")
    if nested and (state["nested_dtype"] != "float32" or not abs(offset) <= torch.finfo(torch.float32).max):
        raise Refused(f"packed scales of {state['nested_dtype']!r}, offset {offset!r}")
    if not isinstance(shape, list) or len(shape) != 2 or any(type(n) is not int or not 0 < n < 2**31 for n in shape):
        raise Refused(f"shape is {shape!r}, expected two positive numbers")
    return state | {"shape": tuple(shape)}


def _scales(state: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], blocks: int) -> torch.Tensor:
    """float32 [blocks]; packed ones are bytes that stand for numbers in a map, in blocks of their own."""
    absmax, nested = tensors["weight.absmax"], "nested_offset" in state
    if absmax.shape != (blocks,) or absmax.dtype not in ((torch.uint8,) if nested else tuple(DTYPES.values())):
        raise Refused(f"weight.absmax is {absmax.dtype} {tuple(absmax.shape)}, expected {blocks}")
    found = absmax.to(torch.float32)
    own = [tensors[name] for name in LEAVES[-2:] if name in tensors]
    if len(own) != (2 if nested else 0):
        raise Refused(f"{len(own)} tensors of packed scales, quant_state says {nested}")
    if nested:
        scales, values = own
        size = state["nested_blocksize"]
        if scales.shape != ((blocks + size - 1) // size,) or values.shape != (256,):
            raise Refused(f"{tuple(scales.shape)} scales of {blocks} scales, {tuple(values.shape)} numbers")
        if scales.dtype != torch.float32 or values.dtype != torch.float32 or not values.isfinite().all():
            raise Refused("scales of scales are not float32, or not finite")
        found = values[absmax.to(torch.int64)] * scales[torch.arange(blocks) // size]
        found = found + torch.tensor(state["nested_offset"], dtype=torch.float32)
        if not scales.isfinite().all():
            raise Refused("scales of scales are not all finite")
    if not found.isfinite().all():
        raise Refused("scales are not all finite")
    return found
