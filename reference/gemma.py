"""Gemma's configurations: which width a module has by its name.

Source: transformers 5.23.0, ``integrations/gemma_quant.py``, ``replace_with_quant_layers``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .config import Config
from .unpacked import Refused

METHOD = "gemma"


def wrote(config: Config) -> bool:
    return str(config.get("quant_method") or config.get("method")).lower() == METHOD


def settings_of(module: str, config: Config) -> dict[str, Any]:
    """The settings of one module: all patterns are one expression, whose named group says which of them it is."""
    rules = rules_of(config)
    own = {key: value for key, value in config.items() if key != "module_quant_configs"}
    match = re.search("|".join(f"(?P<g{number}>{pattern})" for number, pattern in enumerate(rules)), module)
    if not rules or match is None:
        return own
    groups = match.groupdict()
    return own | next(settings for number, settings in enumerate(rules.values()) if groups[f"g{number}"] is not None)


def rules_of(config: Config) -> Mapping[str, Any]:
    """Patterns of names with their settings; Refused for what transformers cannot make anything of."""
    rules = config.get("module_quant_configs")
    if rules is None:
        return {}
    if not isinstance(rules, Mapping):
        raise Refused(f"module_quant_configs is {rules!r}, expected a mapping")
    for pattern, settings in rules.items():
        try:
            re.compile(pattern)
        except re.error as error:
            raise Refused(f"{pattern!r} is no regular expression: {error}") from error
        if not isinstance(settings, Mapping) or settings.keys() - {"num_bits"}:
            raise Refused(f"{pattern!r} has settings {settings!r}, expected num_bits alone")
        if type(settings.get("num_bits", 4)) is not int:
            raise Refused(f"{pattern!r} has {settings['num_bits']!r} bits")
    return rules
