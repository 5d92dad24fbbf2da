"""compressed-tensors' configs: groups of modules by names, patterns and classes, each with a format of its own.

Source: compressed-tensors 0.19, ``quantization/quant_config.py`` and ``utils/match.py`` (``match_targets``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..flags import group_size
from ..parts import Config

NAME = METHOD = "compressed-tensors"


@dataclass(frozen=True)
class Arguments:
    """What a module's config says of its weight; ``size`` is -1 unless the strategy is ``group``.

    ``block`` has rows and columns, and is None unless the strategy is ``block``.
    """

    format: str
    bits: int
    symmetric: bool
    strategy: str
    size: int
    block: tuple[int, int] | None
    by_map: bool
    release: tuple[int, ...]

    @property
    def padded(self) -> bool:
        """Whether words are padded that are not full."""
        return self.release < (0, 18)


def config(format: str, bits: int, size: int, *, release: str = "", **changes: Any) -> dict[str, Any]:
    """Of one group of all linear layers: asymmetric, a scale for each ``size`` inputs, or for each output at -1."""
    strategy: dict[str, Any] = {"strategy": "channel"} if size == -1 else {"strategy": "group", "group_size": size}
    weights = {"num_bits": bits, "type": "int", "symmetric": False, **strategy, **changes}
    return grouped(format, weights) | ({"version": release} if release else {})


def grouped(format: str, weights: Mapping[str, Any]) -> dict[str, Any]:
    """Of one group of all linear layers with these arguments for their weights."""
    return {
        "quant_method": METHOD,
        "format": format,
        "quantization_status": "compressed",
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": dict(weights)}},
        "ignore": ["lm_head"],
    }


def first(config: Config) -> Mapping[str, Any] | None:
    """The only group that quantises weights, or the first of several."""
    groups = config.get("config_groups")
    found = groups.values() if isinstance(groups, Mapping) else ()
    return next((group for group in found if isinstance(group, Mapping) and group.get("weights")), None)


def named(config: Config) -> str | None:
    """The format of a module's config; None for one of another dialect."""
    method, group = config.get("quant_method"), first(config)
    if method not in (None, METHOD) or group is None:
        return None
    return str(group.get("format") or config.get("format"))


def is_of_floats(config: Config, form: str) -> bool:
    """Whether a module's config is of the format ``form``, and its codes are floats."""
    group = first(config)
    return named(config) == form and group is not None and group["weights"].get("type") == "float"


def arguments(config: Config) -> Arguments:
    group = first(config)
    assert group is not None
    weights = group["weights"]
    size = weights.get("group_size")
    strategy = weights.get("strategy") or ("tensor" if size is None else "channel" if size == -1 else "group")
    numbers = re.findall(r"\d+", str(config.get("version") or "99"))
    return Arguments(
        str(group.get("format") or config.get("format")),
        weights.get("num_bits", 8),
        weights.get("symmetric", True) is not False,
        strategy,
        size if strategy == "group" else -1,
        _block(weights["block_structure"]) if strategy == "block" else None,
        str(weights.get("actorder")) in ("group", "dynamic", "True"),
        tuple(int(number) for number in numbers[:3]),
    )


def _block(value: Any) -> tuple[int, int]:
    rows, columns = value.split("x") if isinstance(value, str) else value
    return int(rows), int(columns)


def flags(config: Config) -> set[str]:
    """What the config alone shows."""
    found = arguments(config)
    shown = {f"bits-{found.bits}", "symmetric" if found.symmetric else "asymmetric", f"strategy-{found.strategy}"}
    return shown | {group_size(found.size)} | ({"legacy-config"} if "quant_method" not in config else set())


def reads(config: Config) -> bool:
    return config.get("quant_method") in (None, METHOD) and "config_groups" in config


def config_of(config: Config, module: str) -> dict[str, Any]:
    """The config with the one group that upstream would apply to a linear layer of this name."""
    groups = {name: group for name, group in config["config_groups"].items() if group.get("weights")}
    targets = sorted((target.startswith("re:"), target, name) for name, g in groups.items() for target in g["targets"])
    chosen = next(
        (name for pattern, target, name in targets if (re.match(target[3:], module) if pattern else target == module)),
        None,
    )
    if chosen is None:
        chosen = next(name for _, target, name in targets if target == "Linear")
    return dict(config) | {"config_groups": {chosen: groups[chosen]}}
