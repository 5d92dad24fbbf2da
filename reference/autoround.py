"""AutoRound's configs, which say of GPTQ's and AWQ's packings which one was written.

Source: auto-round 0.16.1, ``inference/convert_model.py`` (``get_layer_config``, ``convert_hf_model``); 0.3.1 for
``backend``, the older name of ``packing_format``.
"""

from __future__ import annotations

import re
from typing import Any

from .config import Config, overridden, setting, written
from .unpacked import Refused

NAME = "auto-round"
METHODS = (NAME, "intel/auto-round")


def wrote(config: Config) -> bool:
    return setting(config, "quant_method") in METHODS


def label(config: Config) -> str:
    """``packing_format``, without the kernel that old versions put at its end; transformers' default is GPTQ's."""
    own = written(config)
    found = own.get("packing_format")
    if found is None:
        backend = str(own.get("backend", "")).replace("autoround", "auto_round").replace("auto-round", "auto_round")
        found = backend if backend.startswith("auto_round") else "auto"
    return re.sub(":(exllamav2|triton|tritonv2)$", "", str(found).lower())


def check(config: Config) -> None:
    """Refused where the weights are no integers."""
    if not str(setting(config, "data_type", "int")).startswith("int"):
        raise Refused(f"data_type {setting(config, 'data_type')} is no integer")


def settings_of(module: str, config: Config) -> dict[str, Any]:
    """The config of one module: by its name, else by the first pattern of ``extra_config`` that is found in it."""
    own = {key: value for key, value in config.items() if key != "extra_config"}
    rules = config.get("extra_config") or {}
    matching = (values for pattern, values in rules.items() if re.search(pattern, module))
    found: dict[str, Any] = rules[module] if module in rules else next(matching, {})
    return own if (found.get("bits") or 0) >= 16 else overridden(own, found)
