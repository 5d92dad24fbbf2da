"""QQQ: 4 bits that a scale of their group makes integers of 8 bits, times a scale an output.

Formulas: GPTQModel 7.7.0, ``nn_modules/qlinear/qqq.py`` (``_get_perms``, ``pack``, ``_dequantize_weight_for_torch``,
whose integers ``forward`` takes as int8). Packing gathers: element ``n`` of a packed row is element ``order[n]`` of the
plain one. Unpacking scatters.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ..config import Config, group_size, setting
from ..unpacked import Refused, Unpacked, check_shape, check_words, field, word

SLUG = "qqq"
# The first one marks a packed module.
LEAVES = ("B", "s_channel", "s_group")
MARKS = ("B", "s_channel")
TILE = 16


def names(config: Config) -> bool:
    return setting(config, "quant_method") == SLUG


def order(grouped: bool) -> torch.Tensor:
    """Of 1024 codes, 16 inputs by 16 outputs four times over, int64."""
    found = []
    for lane in range(32):
        rows = [4 * (lane % 4) + r for r in range(4)]
        one = [16 * row + lane // 4 + 8 * block for block in (0, 1) for row in rows]
        found += [[code + 256 * tile for code in one] for tile in range(4)]
    return torch.tensor(found)[:, [0, 2, 4, 6, 1, 3, 5, 7] if grouped else [4, 0, 5, 1, 6, 2, 7, 3]].flatten()


GROUPS = torch.tensor([i + 8 * j for i in range(8) for j in range(8)])
OUTPUTS = torch.tensor([2 * i + j for i in range(4) for j in (0, 1, 8, 9, 16, 17, 24, 25)])


def _scattered(stored: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    plain = torch.empty_like(stored.reshape(-1, len(places)))
    plain[:, places] = stored.reshape(-1, len(places))
    return plain.reshape(stored.shape)


def _gathered(plain: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    return plain.reshape(-1, len(places))[:, places].reshape(plain.shape).contiguous()


def unpack(config: Config, tensors: Mapping[str, torch.Tensor]) -> Unpacked:
    """Integers and scales of one module; Refused where the formulas do not apply."""
    bits, size = setting(config, "bits"), group_size(config, -1)
    if type(bits) is not int or bits != 4:
        raise Refused(f"{bits!r} bits, expected 4")
    if (label := setting(config, "format", SLUG)) != SLUG:
        raise Refused(f"layout {label}, expected {SLUG}")
    if config.get("sym") is False or config.get("desc_act"):
        raise Refused("QQQ has no zero points and no map of groups")
    for name in ("B", "s_channel"):
        if name not in tensors:
            raise Refused(f"{name} is missing")
    if unknown := sorted(tensors.keys() - {*LEAVES, "bias"}):
        raise Refused(f"{unknown[0]} is no tensor of this format")
    stored, channel, group = tensors["B"], tensors["s_channel"], tensors.get("s_group")
    check_words("B", stored)
    rows, out = len(stored), stored.shape[1] // 2
    inputs = TILE * rows
    size = inputs if size == -1 else size
    if stored.shape[1] % 128 or inputs % size:
        raise Refused(f"B has shape {tuple(stored.shape)}: no whole tiles of 64 outputs, or groups of {size}")
    for name, scales, dtype in (("s_channel", channel, torch.float32), ("s_group", group, torch.float16)):
        if scales is not None and (scales.dtype != dtype or not scales.isfinite().all()):
            raise Refused(f"{name} is {scales.dtype}, expected finite numbers of {dtype}")
    check_shape("s_channel", channel, (1, out))
    grouped = size != inputs
    if not grouped and group is not None and group.numel():
        raise Refused("s_group is not empty, though there is one group")
    packed = torch.stack([field(stored, nibble, 4) for nibble in range(8)], dim=2).reshape(-1, 1024)
    tiles = _scattered(packed, order(grouped)).reshape(rows, out // TILE, TILE, TILE)
    codes = tiles.permute(0, 2, 1, 3).reshape(inputs, out)
    scales = _scattered(channel, OUTPUTS)[0]
    if not grouped:
        signed = torch.where(codes >= 8, codes - 16, codes)
        return _unpacked(signed * 16, scales)
    if group is None:
        raise Refused("s_group is missing")
    check_shape("s_group", group, (inputs // size, out))
    own = _scattered(group, GROUPS).to(torch.float32)[torch.arange(inputs) // size]
    integers = ((codes.to(torch.float32) - 8.0) * own).round().clamp(-128, 127)
    return _unpacked(integers, scales)


def _unpacked(integers: torch.Tensor, scales: torch.Tensor) -> Unpacked:
    """Integers [in, out] of 8 bits have a sign, and no zero point."""
    q = integers.to(torch.int32).T.contiguous()
    none = torch.zeros(1, len(q), dtype=torch.int32)
    return Unpacked(q, none, scales[None], torch.zeros(q.shape[1], dtype=torch.int64))


def pack(
    config: Config, q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """The tensors of codes ``q`` [out, in] from 0 to 15 that stand for ``q - 8``, scales of outputs ``s`` [1, out], and
    of groups ``z`` [groups, out], which is empty where there is one group."""
    if g is not None:
        raise Refused("QQQ has no map of groups")
    grouped = z.numel() > 0
    out, inputs = q.shape
    nibbles = q if grouped else (q - 8) % 16
    tiles = nibbles.T.reshape(inputs // TILE, TILE, out // TILE, TILE).permute(0, 2, 1, 3)
    row = tiles.reshape(-1, 1024)[:, order(grouped)].reshape(inputs // TILE, -1)
    group = _gathered(z, GROUPS) if grouped else z
    words = word([row[:, nibble::8] for nibble in range(8)], 4)
    return {"B": words, "s_channel": _gathered(s, OUTPUTS), "s_group": group}
