"""How a quantisation config is read. A key whose value is null counts as absent everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .unpacked import Refused

Config = Mapping[str, Any]

# Every name of a setting that has more than one.
SPELLINGS = (
    ("bits", "w_bit", "wbits"),
    ("group_size", "q_group_size", "groupsize"),
    ("format", "checkpoint_format"),
    ("quant_method", "method"),
)
# Names of methods and layouts, which count as equal in upper and lower case.
NAMES = ("quant_method", "method", "format", "checkpoint_format", "version", "backend")


# Null is a value of its own: one scale for a whole matrix.
NULLS = ("weight_block_size",)


def written(config: Config) -> dict[str, Any]:
    """The settings that have a value; names of methods and layouts in lower case."""
    found = {key: value for key, value in config.items() if value is not None or key in NULLS}
    if "tiling_mode" in found and "quant_method" in found:
        found.pop("method", None)  # there it is the name of a variant
    return found | {key: found[key].lower() for key in NAMES if isinstance(found.get(key), str)}


def overridden(config: Config, values: Config) -> dict[str, Any]:
    """``config`` with other values for some settings, whichever spelling either of them uses."""
    own = written(config)
    for key in written(values):
        for name in spellings(key):
            own.pop(name, None)
    return own | written(values)


def spellings(key: str) -> tuple[str, ...]:
    return next((names for names in SPELLINGS if key in names), (key,))


def setting(config: Config, name: str, default: Any = None) -> Any:
    """A setting under any of its spellings. Refused where two of them disagree."""
    found = values((config,), name)
    if len(found) > 1:
        raise Refused(f"{' and '.join(spellings(name))} disagree: {found}")
    return found[0] if found else default


def values(configs: Iterable[Config], name: str) -> list[Any]:
    """The different values that configs have for one setting."""
    found: dict[str, Any] = {}
    for own in map(written, configs):
        found |= {str(own[key]): own[key] for key in spellings(name) if key in own}
    return list(found.values())


def group_size(config: Config, default: int) -> int:
    """-1, all inputs in one group, or a positive number."""
    size = setting(config, "group_size", default)
    if type(size) is not int or size == 0 or size < -1:
        raise Refused(f"group_size is {size!r}, expected -1 or a positive integer")
    return size
