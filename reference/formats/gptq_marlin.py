"""Marlin's tiles, 4 bits and symmetric: AutoGPTQ's ``is_marlin_format`` and AutoAWQ's ``version: marlin``.

Formulas: auto_gptq 0.7.1, ``nn_modules/qlinear/qlinear_marlin.py`` (``_get_perms`` and ``pack``); autoawq 0.2.9,
``awq/modules/linear/marlin.py``, which has the same under other names. Packing gathers: element ``n`` of a packed row
is element ``order[n]`` of the plain one. Unpacking scatters.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from .. import autoround
from ..config import Config, group_size, setting, written
from ..unpacked import Refused, Unpacked, check_scales, check_shape, check_words, field, word

SLUG = "gptq_marlin"
# The names of codes and scales by quant_method.
NAMED = {"gptq": ("B", "s"), "awq": ("qweight", "scales")}
LEAVES = ("B", "s", "qweight", "scales")
MARKS = ("B", "qweight")
TILE = 16


def names(config: Config) -> bool:
    own = written(config)
    if autoround.wrote(config) or own.get("backend") in ("llm-awq", "llm_awq"):
        return False
    if _method(config) == "awq":
        return next((own[key] for key in ("version", "format", "checkpoint_format") if key in own), None) == "marlin"
    labelled = own.get("format", own.get("checkpoint_format")) == "marlin"
    return _method(config) == "gptq" and bool(own.get("is_marlin_format") or labelled)


def _method(config: Config) -> str:
    return str(setting(config, "quant_method", "awq" if "w_bit" in written(config) else "gptq"))


def order() -> torch.Tensor:
    """Of 1024 codes, 16 inputs by 16 outputs four times over, int64."""
    found = []
    for lane in range(32):
        rows = [2 * (lane % 4), 2 * (lane % 4) + 1, 2 * (lane % 4 + 4), 2 * (lane % 4 + 4) + 1]
        one = [16 * row + lane // 4 + 8 * block for block in (0, 1) for row in rows]
        found += [[code + 256 * tile for code in one] for tile in range(4)]
    return torch.tensor(found)[:, [0, 2, 4, 6, 1, 3, 5, 7]].flatten()


def scale_order(grouped: bool) -> torch.Tensor:
    """Of 64 scales where there are several groups, else of 32."""
    if grouped:
        return torch.tensor([i + 8 * j for i in range(8) for j in range(8)])
    return torch.tensor([2 * i + j for i in range(4) for j in (0, 1, 8, 9, 16, 17, 24, 25)])


def unpack(config: Config, tensors: Mapping[str, torch.Tensor]) -> Unpacked:
    """Codes, zero points, scales and groups of one module; Refused where the formulas do not apply."""
    bits = setting(config, "bits", 4)
    if type(bits) is not int or bits != 4:
        raise Refused(f"{bits!r} bits, expected 4")
    method = _method(config)
    own = NAMED[method]
    asymmetric = config.get("zero_point") is True or config.get("sym") is False
    if asymmetric or config.get("desc_act"):
        raise Refused("tiles have no zero points and no map of groups")
    for name in own:
        if name not in tensors:
            raise Refused(f"{name} is missing")
    if unknown := sorted(tensors.keys() - {*own, "bias"}):
        raise Refused(f"{unknown[0]} is no tensor of this format")
    words, scales = (tensors[name] for name in own)
    check_words(own[0], words)
    check_scales(scales)
    inputs, out = TILE * len(words), words.shape[1] // 2
    size = group_size(config, 128 if method == "awq" else -1)
    size = inputs if size == -1 else size
    if words.shape[1] % 128 or inputs % size:
        raise Refused(f"{own[0]} has shape {tuple(words.shape)}: no whole tiles of 64 outputs, or groups of {size}")
    check_shape(own[1], scales, (inputs // size, out))
    packed = torch.stack([field(words, nibble, 4) for nibble in range(8)], dim=2).reshape(-1, 1024)
    rows = torch.empty_like(packed)
    rows[:, order()] = packed
    tiles = rows.reshape(inputs // TILE, out // TILE, TILE, TILE).permute(1, 3, 0, 2)
    places = scale_order(len(scales) > 1)
    plain = torch.empty_like(scales.reshape(-1, len(places)))
    plain[:, places] = scales.reshape(-1, len(places))
    zeros = torch.full(scales.shape, 8, dtype=torch.int32)
    return Unpacked(tiles.reshape(out, inputs), zeros, plain.reshape(scales.shape), torch.arange(inputs) // size)


def pack(
    config: Config, q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """The tensors that the producer stores for ``q`` [out, in] and ``s`` [groups, out]; ``z`` is 8 throughout."""
    if bool((z != 8).any()) or g is not None:
        raise Refused("tiles have no zero points and no map of groups")
    out, inputs = q.shape
    tiles = q.T.reshape(inputs // TILE, TILE, out // TILE, TILE).permute(0, 2, 1, 3)
    row = tiles.reshape(-1, 1024)[:, order()].reshape(inputs // TILE, -1)
    places = scale_order(len(s) > 1)
    scales = s.reshape(-1, len(places))[:, places].reshape(s.shape).contiguous()
    codes, factors = NAMED[_method(config)]
    return {codes: word([row[:, nibble::8] for nibble in range(8)], 4), factors: scales}
