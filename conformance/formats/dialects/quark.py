"""AMD Quark's configs: a type of weights for all modules, and others for some by patterns of their names.

Source: amd-quark 0.13, ``torch/export/main_export/quant_config_parser.py`` (``get_layer_quant_config``).
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..flags import group_size
from ..parts import Config

NAME = METHOD = "quark"
SCHEMES = {"tensor": "per_tensor", "channel": "per_channel", "group": "per_group"}
AXES = {"tensor": None, "channel": 0, "group": -1}


@dataclass(frozen=True)
class Arguments:
    """What a module's config says of its weight; ``size`` is -1 unless the strategy is ``group``."""

    dtype: str
    strategy: str
    size: int
    symmetric: bool
    interleaved: bool

    @property
    def bits(self) -> int:
        return int(self.dtype[-1])

    @property
    def signed(self) -> bool:
        return not self.dtype.startswith("u")


def weight(dtype: str, strategy: str, size: int = -1, **changes: Any) -> dict[str, Any]:
    """The type of weights of some modules."""
    return {
        "dtype": dtype,
        "qscheme": SCHEMES[strategy],
        "ch_axis": AXES[strategy],
        "group_size": size if strategy == "group" else None,
        "symmetric": not dtype.startswith("u"),
        "is_dynamic": False,
    } | changes


def layer(weight: Any, **changes: Any) -> dict[str, Any]:
    return {"weight": weight, "bias": None, "input_tensors": None, "output_tensors": None} | changes


def config(weight: Any, pack_method: str = "reorder", **changes: Any) -> dict[str, Any]:
    """Of one type of weights in all modules."""
    return {
        "quant_method": METHOD,
        "exclude": ["lm_head"],
        "export": {"pack_method": pack_method, "weight_format": "real_quantized"},
        "global_quant_config": layer(weight),
        "layer_quant_config": {},
    } | changes


def reads(config: Config) -> bool:
    return str(config.get("quant_method") or METHOD).lower() == METHOD and "global_quant_config" in config


def said(config: Config) -> Mapping[str, Any]:
    """The type of a module's weights, which may be the only one of a list; empty where there is none."""
    whole = config.get("global_quant_config")
    found = whole.get("weight") if isinstance(whole, Mapping) else None
    if isinstance(found, list) and len(found) == 1:
        found = found[0]
    return found if isinstance(found, Mapping) else {}


def dtype(config: Config) -> str:
    """Of a module's weights; "" of a config of another dialect, or of several stages."""
    return str(said(config).get("dtype")).lower() if reads(config) and said(config) else ""


def arguments(config: Config) -> Arguments:
    found = said(config)
    strategy = next(name for name, scheme in SCHEMES.items() if scheme == found["qscheme"])
    method = (config.get("export") or {}).get("pack_method") or "reorder"
    return Arguments(
        dtype(config),
        strategy,
        found["group_size"] if strategy == "group" else -1,
        bool(found.get("symmetric")),
        method == "reorder",
    )


def flags(config: Config) -> set[str]:
    """What the config alone shows."""
    found = arguments(config)
    shown = {found.dtype, f"bits-{found.bits}", f"strategy-{found.strategy}", group_size(found.size)}
    return shown | {"symmetric" if found.symmetric else "asymmetric", "reorder" if found.interleaved else "order"}


def config_of(config: Config, module: str) -> dict[str, Any]:
    """The config with the type of weights that the first fitting pattern gives a module of this name."""
    layers = config.get("layer_quant_config") or {}
    own = next((layer for name, layer in layers.items() if fnmatch.fnmatch(module, name)), None)
    alone = dict(config) | {"layer_quant_config": {}}
    return alone if own is None or own.get("weight") is None else alone | {"global_quant_config": own}
