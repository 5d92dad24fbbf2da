"""AutoRound's configs: ``packing_format`` names the packing of a checkpoint, ``extra_config`` sets modules apart.

Source: auto-round 0.16.1, ``inference/convert_model.py``; 0.3.1 for ``backend``.
"""

from __future__ import annotations

import re
from typing import Any

from ..parts import Config

NAME = "auto-round"
METHODS = ("auto-round", "intel/auto-round")
# What the plainest config has beside widths and sizes.
PLAIN: dict[str, Any] = {"quant_method": "auto-round", "data_type": "int"}
LESS_ONE, RAW, AWQ = "auto_round:auto_gptq", "auto_round", "auto_round:auto_awq"


def reads(config: Config) -> bool:
    return str(config.get("quant_method", "")).lower() in METHODS


def label(config: Config) -> str:
    """``packing_format``, or ``backend`` of old versions, without the kernel at its end."""
    found = config.get("packing_format")
    if found is None:
        backend = str(config.get("backend", ""))
        found = backend if backend.startswith("auto_round") else LESS_ONE
    return re.sub(":(exllamav2|triton|tritonv2)$", "", str(found).lower())


def awq(config: Config) -> bool:
    """Whether modules are packed as AWQ's; otherwise they are as GPTQ's."""
    return "awq" in label(config)


def version(config: Config) -> int:
    """1 where zero points are stored less one, 2 where they are stored as they are."""
    return 2 if label(config) in (RAW, "auto_round:gptqmodel") else 1


def borrows(config: Config) -> bool:
    """Whether the producer's zero points are sums of shifted fields that are one less, borrows and all."""
    numbers = [int(number) for number in re.findall(r"\d+", str(config.get("autoround_version", "")))]
    return [0, 7, 1] <= numbers < [0, 16]


def config_of(config: Config, module: str) -> dict[str, Any]:
    """By the full name, else by the first key found in it; a rule of 16 bits changes nothing."""
    own = {key: value for key, value in config.items() if key != "extra_config"}
    rules: dict[str, Any] = config.get("extra_config") or {}
    keys = [key for key in rules if key == module] or [key for key in rules if re.search(key, module)]
    found = rules[keys[0]] if keys else {}
    return own if found.get("bits", 0) >= 16 else own | found
