"""Flags that formats of integer codes share: what anybody can see of a sound module."""

from __future__ import annotations

from typing import Any

from .parts import Config, Tensors

GROUP_SIZES = (-1, 16, 32, 64, 128, 256, 512, 1024)
WIDTH_KEYS = ("bits", "w_bit", "wbits")
LEGACY_KEYS = ("w_bit", "wbits", "q_group_size")


def group_size(size: object) -> str:
    """The flag of a group size as the config says it."""
    return f"group-size-{size}" if size in GROUP_SIZES else "group-size-other"


def affine(in_features: int, size: int) -> bool:
    """Whether MLX has an affine form for groups of ``size`` neighbouring inputs, of which it takes 32 at the least."""
    return in_features % size == 0 and size % 32 == 0


def width(config: Config) -> Any:
    """Bits of a code as a flat config has them, under any spelling."""
    return next((config[key] for key in WIDTH_KEYS if config.get(key) is not None), None)


def common(config: Config, tensors: Tensors) -> set[str]:
    """Of a flat config: dtype of the scales, group size, and whether it is spelt as old producers do."""
    size = config.get("group_size", config.get("q_group_size", -1))
    found = {f"scales-{tensors['scales'].dtype}", group_size(size)}
    if any(key in config for key in LEGACY_KEYS) or "quant_method" not in config:
        found.add("legacy-config")
    return found
