"""ParoQuant: AWQ's codes of a matrix whose inputs are scaled, and turned in pairs, before they meet it.

Formula: GPTQModel 7.7.0, ``utils/paroquant.py`` (``apply_paroquant_rotation_reference``) is what inputs go through;
``quantization/paroquant/optimization.py`` (``_apply_inverse_rotation``, ``_export_runtime_state``) is what the weight
goes through instead, in float32 and from products ``s * (q - z)`` in float32, as paroquant's own
``fuse_inverse_rotations`` does it. Cosines and sines are float32, each the nearest one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ..config import Config, group_size, setting
from ..unpacked import Refused, Unpacked, check_shape, round_once
from . import awq_gemm

SLUG = "paroquant"
LEAVES = (*awq_gemm.LEAVES, "pairs", "theta", "channel_scales")
MARKS = ("qweight", "pairs")
_FLOATS = (torch.float16, torch.bfloat16, torch.float32)


@dataclass
class Turned:
    """``plain`` meets turned inputs; ``pairs`` int64 [k, in / 2, 2] of numbers of inputs, ``angles`` [k, in / 2] and
    ``columns`` [in] in the dtypes of the file."""

    plain: Unpacked
    pairs: torch.Tensor
    angles: torch.Tensor
    columns: torch.Tensor

    def dense(self, dtype: torch.dtype | None = None) -> torch.Tensor:
        """``W`` [out, in]: rotations taken back from the last one, in float32, times the columns, cast."""
        weight = self.plain.dense(torch.float32)
        angles = self.angles.to(torch.float64)
        for pairs, angle in zip(self.pairs.flip(0), angles.flip(0), strict=True):
            cos, sin = torch.cos(angle).to(torch.float32), torch.sin(angle).to(torch.float32)
            first, second = weight[:, pairs[:, 0]], weight[:, pairs[:, 1]]
            turned = weight.clone()
            turned[:, pairs[:, 0]] = first * cos - second * sin
            turned[:, pairs[:, 1]] = first * sin + second * cos
            weight = turned
        scaled = weight * self.columns.to(torch.float32)
        return round_once(scaled.to(torch.float64), dtype or self.plain.s.dtype)


def names(config: Config) -> bool:
    return setting(config, "quant_method") == SLUG


def unpack(config: Config, tensors: Mapping[str, torch.Tensor]) -> Turned:
    """Codes, pairs, angles and scales of inputs of one module; Refused where the formulas do not apply."""
    if setting(config, "bits", 4) != 4 or type(setting(config, "bits", 4)) is not int:
        raise Refused(f"{setting(config, 'bits')!r} bits, expected 4")
    if (label := setting(config, "format", SLUG)) != SLUG:
        raise Refused(f"layout {label}, expected {SLUG}")
    if unknown := sorted(tensors.keys() - {*LEAVES, "bias"}):
        raise Refused(f"{unknown[0]} is no tensor of this format")
    if missing := [name for name in LEAVES if name not in tensors]:
        raise Refused(f"{missing[0]} is missing")
    pairs, angles, columns = (tensors[name] for name in LEAVES[3:])
    size = group_size(config, 128)
    codes = {name: tensors[name] for name in awq_gemm.LEAVES}
    plain = awq_gemm.unpack({"quant_method": "awq", "bits": 4, "group_size": size, "version": "gemm"}, codes)
    in_features = plain.q.shape[1]
    size = in_features if size == -1 else size
    for name, found in (("theta", angles), ("channel_scales", columns)):
        if found.dtype not in _FLOATS or not found.isfinite().all():
            raise Refused(f"{name} is {found.dtype}, expected finite floats")
    if angles.ndim != 2 or not len(angles) or size % 2:
        raise Refused(f"theta has shape {tuple(angles.shape)} with groups of {size}")
    krot = setting(config, "krot", len(angles))
    if type(krot) is not int or krot != len(angles):
        raise Refused(f"krot is {krot!r}, and theta has {len(angles)} rows")
    check_shape("theta", angles, (krot, in_features // 2))
    check_shape("pairs", pairs, (krot, in_features))
    if pairs.dtype != torch.int16:
        raise Refused(f"pairs are {pairs.dtype}, expected int16")
    if columns.shape != (in_features,):
        check_shape("channel_scales", columns, (1, in_features))
    local = pairs.to(torch.int64).view(krot, -1, size)
    if not torch.equal(local.sort(dim=2).values, torch.arange(size).expand_as(local)):
        raise Refused("pairs of a rotation do not hold each input of a group once")
    places = local + torch.arange(0, in_features, size)[:, None]
    return Turned(plain, places.view(krot, -1, 2), angles, columns.view(-1))


def pack(
    config: Config, q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """AWQ's tensors, beside inputs that are not turned."""
    if g is not None:
        raise Refused("ParoQuant has no group index")
    in_features = q.shape[1]
    pairs = torch.arange(in_features, dtype=torch.int64) % (in_features // len(z))
    return awq_gemm.pack({"quant_method": "awq", "bits": 4}, q, z, s) | {
        "pairs": pairs.to(torch.int16)[None],
        "theta": torch.zeros(1, in_features // 2, dtype=torch.float16),
        "channel_scales": torch.ones(1, in_features, dtype=torch.float16),
    }
