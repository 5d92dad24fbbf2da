"""AMD Quark's integers of 2, 4 and 8 bits.

Formulas: amd-quark 0.13, ``torch/utils/pack.py`` (``unpack`` of ``Pack_2_bits``, ``Pack_uint2``, ``Pack_4_bits`` and
``Pack_8_bits``),
``torch/export/nn/modules/realquantizer.py`` (``unpack_params``) and ``hw_emulation_interface.py``
(``dequantize_int_per_group_affine`` and its neighbours). Codes and zero points of signed types are counted from the
least number here, so that they are unsigned.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ..config import Config
from ..dialects import quark_scheme, quark_type, quark_weight
from ..unpacked import Refused, Unpacked, field, word

SLUG = "quark_int"
LEAVES = (
    *("weight", "weight_scale", "weight_zero_point"),
    *("input_scale", "input_zero_point", "output_scale", "output_zero_point"),
)
MARKS = ("weight_scale",)

TYPES = {"int2": torch.int32, "uint2": torch.uint8}
TYPES |= {"int4": torch.int32, "uint4": torch.int32, "int8": torch.int8, "uint8": torch.uint8}
# Column j of eight is this field of a word that was reordered.
ORDER = [0, 4, 1, 5, 2, 6, 3, 7]


def names(config: Config) -> bool:
    """Whether the config is of this format; of several stages, none of which is decoded, it might be."""
    return quark_type(config).startswith(("int", "uint", "several"))


def unpack(config: Config, tensors: Mapping[str, torch.Tensor]) -> Unpacked:
    """Codes, zero points, scales and groups of one module; Refused where the formulas do not apply."""
    given, kind, scheme = quark_weight(config), quark_type(config), quark_scheme(config)
    if kind not in TYPES:
        raise Refused(f"type {kind}, expected one of {sorted(TYPES)}")
    if (given.get("zero_point_type") or "int32") != "int32":
        raise Refused(f"zero points of type {given['zero_point_type']!r}")
    for name in LEAVES[:3]:
        if name not in tensors:
            raise Refused(f"{name} is missing")
    if unknown := sorted(tensors.keys() - {*LEAVES, "bias"}):
        raise Refused(f"{unknown[0]} is no tensor of this format")
    weight, scales, zeros = (tensors[name] for name in LEAVES[:3])
    if weight.dtype != TYPES[kind] or zeros.dtype != TYPES[kind] or weight.ndim != 2 or weight.numel() == 0:
        raise Refused(f"weight is {weight.dtype} {tuple(weight.shape)}, zero points are {zeros.dtype}")
    if scales.dtype not in (torch.float16, torch.bfloat16, torch.float32) or not torch.isfinite(scales).all():
        raise Refused(f"weight_scale is {scales.dtype}, expected finite floats")
    q = _numbers(config, kind, weight)
    if scheme == "per_group":
        q, size = q.T, given.get("group_size")
        if type(size) is not int or size == 0 or size < -1:
            raise Refused(f"group_size is {size!r}, expected a positive integer")
        size = q.shape[1] if size == -1 else size
        if q.shape[1] % size or tuple(scales.shape) != (q.shape[1] // size, q.shape[0]):
            raise Refused(f"scales {tuple(scales.shape)} of {tuple(q.shape)} in groups of {size}")
        z = _numbers(config, kind, zeros) if zeros.ndim == 2 else zeros
    elif scheme == "per_channel":
        size = q.shape[1]
        if tuple(scales.shape) != (q.shape[0],) or zeros.ndim != 1:
            raise Refused(f"scales {tuple(scales.shape)}, expected one for each of {q.shape[0]} outputs")
        scales, z = scales[None], _numbers(config, kind, zeros[None])
    else:
        size = q.shape[1]
        if kind == "uint2":
            raise Refused("one scale for all of uint2, which has no packer")
        if tuple(scales.shape) not in ((), (1,)) or tuple(zeros.shape) not in ((), (1,)):
            raise Refused(f"scales {tuple(scales.shape)}, expected one")
        lone = int(zeros.reshape(()))
        if kind == "int2" and not -2 <= lone < 2:
            raise Refused(f"a lone zero point of {lone}")
        if kind.endswith("4") and not 0 <= lone < (8 if kind == "int4" else 16):
            raise Refused(f"a lone zero point of {lone}")
        scales = scales.reshape(1, 1).expand(1, q.shape[0])
        z = torch.full(scales.shape, lone + _least(kind), dtype=torch.int32)
    if z.shape != scales.shape:
        raise Refused(f"zero points {tuple(z.shape)}, scales {tuple(scales.shape)}")
    return Unpacked(q.contiguous(), z, scales.contiguous(), torch.arange(q.shape[1]) // size)


def pack(
    config: Config, q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """The tensors Quark would store: ``q`` [out, in], ``z`` and ``s`` [groups, out]."""
    if g is not None:
        raise Refused("Quark has no group index")
    kind, scheme = quark_type(config), quark_scheme(config)
    if scheme == "per_group":
        return dict(zip(LEAVES, (_stored(config, kind, q.T), s, _stored(config, kind, z)), strict=False))
    weight = _stored(config, kind, q)
    if scheme == "per_channel":
        return dict(zip(LEAVES, (weight, s[0], _stored(config, kind, z)[0]), strict=False))
    lone = (z[0, 0] - _least(kind)).to(TYPES[kind])
    return dict(zip(LEAVES, (weight, s[0, 0], lone), strict=False))


def _least(kind: str) -> int:
    return {"int2": 2, "int4": 8, "int8": 128}.get(kind, 0)


def _interleaved(config: Config) -> bool:
    method = (config.get("export") or {}).get("pack_method") or "reorder"
    if method not in ("reorder", "order"):
        raise Refused(f"pack_method is {method!r}, expected reorder or order")
    return method == "reorder"


def _numbers(config: Config, kind: str, stored: torch.Tensor) -> torch.Tensor:
    """int32 [rows, n], counted from the least number."""
    interleaved = _interleaved(config)
    if kind == "uint2":
        # The first of four in the highest bits.
        octets = stored.to(torch.int32)
        return torch.stack([(octets >> shift) & 3 for shift in (6, 4, 2, 0)], dim=-1).flatten(-2)
    if kind == "int2":
        if stored.min() < -2 or stored.max() > 1:
            raise Refused(f"numbers from {int(stored.min())} to {int(stored.max())} as int2")
        return stored + 2
    if kind.endswith("8"):
        return stored.to(torch.int32) + _least(kind)
    columns = [field(stored, nibble, 4) for nibble in (ORDER if interleaved else range(8))]
    return torch.stack(columns, dim=-1).flatten(-2) ^ _least(kind)


def _stored(config: Config, kind: str, numbers: torch.Tensor) -> torch.Tensor:
    """Inverse of :func:`_numbers`."""
    if kind == "uint2":
        first, second, third, fourth = numbers.reshape(*numbers.shape[:-1], -1, 4).to(torch.int32).unbind(-1)
        return (first << 6 | second << 4 | third << 2 | fourth).to(torch.uint8).contiguous()
    if kind.endswith("8") or kind == "int2":
        return (numbers - _least(kind)).to(TYPES[kind]).contiguous()
    columns = (numbers ^ _least(kind)).reshape(*numbers.shape[:-1], -1, 8)
    order = ORDER if _interleaved(config) else list(range(8))
    return word([columns[..., order.index(nibble)] for nibble in range(8)], 4)
