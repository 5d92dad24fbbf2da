"""compressed-tensors' ``pack-quantized``, integers of 2 to 8 bits.

Formulas: compressed-tensors 0.19.0 (a stream of bits) and 0.17.1 (padded words, maps of groups),
``compressors/pack_quantized/helpers.py`` (``unpack_from_int32``) and ``quantization/lifecycle/forward.py``
(``dequantize``). Codes and zero points are signed, and stored with ``2**(bits - 1)`` added; here they stay unsigned.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ..config import Config
from ..dialects import arguments, group_of, release
from ..unpacked import Refused, Unpacked, check_words, signed

SLUG = "ct_packed"
# The first one marks a packed module.
LEAVES = ("weight_packed", "weight_scale", "weight_zero_point", "weight_g_idx", "weight_shape")
WIDTHS = range(2, 9)


def names(config: Config) -> bool:
    return "config_groups" in config and group_of(config) == ("pack-quantized", "int")


def unpack(config: Config, tensors: Mapping[str, torch.Tensor]) -> Unpacked:
    """Codes, zero points, scales and groups of one module; Refused where the formulas do not apply."""
    given = arguments(config, WIDTHS)
    for name in ("weight_packed", "weight_scale", *(() if given.symmetric else ("weight_zero_point",))):
        if name not in tensors:
            raise Refused(f"{name} is missing")
    if given.strategy != "group" and "weight_shape" not in tensors:
        raise Refused("weight_shape is missing")
    if unknown := sorted(tensors.keys() - {*LEAVES, "bias"}):
        raise Refused(f"{unknown[0]} is no tensor of this format")
    packed = tensors["weight_packed"]
    check_words("weight_packed", packed)
    out = packed.shape[0]
    scales = given.scales(tensors["weight_scale"], out)
    inputs = len(scales) * given.size if given.strategy == "group" else 0
    if (shape := tensors.get("weight_shape")) is not None:
        if shape.numel() != 2 or int(shape[0]) != out or (inputs and int(shape[1]) != inputs):
            raise Refused(f"weight_shape is {shape.tolist()}, which the other tensors contradict")
        inputs = int(shape[1])
    old = release(config) < (0, 18)
    q = _fields(packed, given.bits, inputs, old)
    z = torch.full((len(scales), out), 1 << (given.bits - 1), dtype=torch.int32)
    if not given.symmetric:
        z = _zeros(tensors["weight_zero_point"], given.bits, given.strategy, out, len(scales), old)
    g = torch.arange(inputs) // (given.size if given.strategy == "group" else inputs)
    g_idx = tensors.get("weight_g_idx")
    if g_idx is None and given.by_map and len(scales) > 1:
        raise Refused("actorder is group and weight_g_idx is missing: which inputs form a group is not known")
    if g_idx is not None and g_idx.shape != (inputs,):
        raise Refused(f"weight_g_idx has shape {tuple(g_idx.shape)}, expected {(inputs,)}")
    if g_idx is not None and -1 not in g_idx and len(scales) > 1:
        g = g_idx.to(torch.int64)
        if g.min() < 0 or g.max() >= len(scales):
            raise Refused(f"weight_g_idx runs from {int(g.min())} to {int(g.max())}")
    return Unpacked(q, z, scales, g)


def pack(
    config: Config, q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """The tensors compressed-tensors would store: ``q`` [out, in], ``z`` and ``s`` [groups, out]."""
    given, old = arguments(config, WIDTHS), release(config) < (0, 18)
    found = {
        "weight_packed": _words(q, given.bits, old),
        "weight_scale": s[0, :1] if given.strategy == "tensor" else s.T.contiguous(),
        "weight_shape": torch.tensor(q.shape),
    }
    if not given.symmetric and given.strategy == "tensor":
        found["weight_zero_point"] = (z[0, :1] - (1 << (given.bits - 1))).to(torch.int8)
    elif not given.symmetric:
        found["weight_zero_point"] = _words(z, given.bits, old).T.contiguous()
    return found if g is None else found | {"weight_g_idx": g.to(torch.int32)}


def _places(count: int, bits: int, padded: bool) -> torch.Tensor:
    """First bit of each field of a row, counted over all words."""
    fields = torch.arange(count)
    each = 32 // bits
    return (fields // each) * 32 + (fields % each) * bits if padded else fields * bits


def _words_of(count: int, bits: int, padded: bool) -> int:
    return -(-count // (32 // bits)) if padded else -(-count * bits // 32)


def _fields(words: torch.Tensor, bits: int, count: int, old: bool) -> torch.Tensor:
    """int32 [rows, count] of words [rows, n]: bit by bit."""
    fitting = [padded for padded in (False, True) if _words_of(count, bits, padded) == words.shape[1]]
    if not fitting or count < 1:
        raise Refused(f"{words.shape[1]} words do not hold {count} fields of {bits} bits")
    places = _places(count, bits, fitting[-1] if old else fitting[0])
    wide = words.to(torch.int64) & 0xFFFFFFFF
    found = torch.zeros(len(words), count, dtype=torch.int32)
    for bit in range(bits):
        at = places + bit
        found |= (((wide[:, at // 32] >> (at % 32)) & 1) << bit).to(torch.int32)
    return found


def _words(fields: torch.Tensor, bits: int, old: bool) -> torch.Tensor:
    """Inverse of :func:`_fields`."""
    places = _places(fields.shape[1], bits, old)
    found = torch.zeros(len(fields), _words_of(fields.shape[1], bits, old), dtype=torch.int64)
    for bit in range(bits):
        at = places + bit
        found.index_add_(1, at // 32, ((fields.to(torch.int64) >> bit) & 1) << (at % 32))
    return signed(found)


def _zeros(stored: torch.Tensor, bits: int, strategy: str, out: int, groups: int, old: bool) -> torch.Tensor:
    """int32 [groups, out]."""
    if strategy == "tensor":
        if stored.dtype != torch.int8 or stored.numel() != 1:
            raise Refused(f"weight_zero_point is {stored.dtype} {tuple(stored.shape)}, expected int8 and one element")
        return (stored.reshape(1, 1).to(torch.int32) + (1 << (bits - 1))).expand(1, out)
    check_words("weight_zero_point", stored)
    if stored.shape[1] != groups:
        raise Refused(f"weight_zero_point has {stored.shape[1]} columns, expected {groups}")
    return _fields(stored.T, bits, out, old)
