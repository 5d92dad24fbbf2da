"""Fields of a ``quantization_config`` under every spelling that producers have used, checked as they are read.

Synonyms are those of AutoGPTQ 0.7, AutoAWQ 0.2, llm-awq, AutoRound and GPTQModel 7.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..errors import MalformedCheckpoint, UnsupportedFormat

_SYNONYMS = {
    "bits": ("bits", "w_bit", "wbits"),
    "group_size": ("group_size", "q_group_size", "groupsize"),
    "method": ("quant_method", "method"),
}
# Methods in whose configurations ``method`` is the name of a variant.
_OF_VARIANTS = ("sinq",)


def method(config: Mapping[str, Any]) -> str | None:
    """The ``quant_method`` that ``config`` states, lower case and with dashes, or None."""
    if not isinstance(config, Mapping):
        raise bad("quantization_config", config, "a mapping")
    if (said := config.get("quant_method")) is not None and folded(said) in _OF_VARIANTS:
        return folded(said)
    found = one(config, "method", fold=folded)
    return None if found is None else str(found)


def folded(value: object) -> str:
    return str(value).lower().replace("_", "-")


def one(config: Mapping[str, Any], field: str, fold: Callable[[Any], Any] = lambda value: value) -> Any:
    """The value of a field, None where it is absent or null; ``config-contradiction`` if two spellings disagree."""
    names = _SYNONYMS.get(field, (field,))
    found = {key: fold(config[key]) for key in names if config.get(key) is not None}
    if len({repr(value) for value in found.values()}) > 1:
        raise MalformedCheckpoint("config-contradiction", f"spellings of {field} disagree: {found}", where=field)
    return next(iter(found.values()), None)


def integer(config: Mapping[str, Any], field: str, default: int | None) -> int:
    """An integer field; MalformedCheckpoint ``bad-config-value`` for anything else, or None without a default."""
    value = one(config, field)
    value = default if value is None else value
    if isinstance(value, bool) or not isinstance(value, int):
        raise bad(field, value, "an integer")
    return value


def boolean(config: Mapping[str, Any], field: str) -> bool | None:
    value = one(config, field)
    if value is not None and not isinstance(value, bool):
        raise bad(field, value, "true or false")
    return value


def group_size(config: Mapping[str, Any], default: int) -> int:
    size = integer(config, "group_size", default)
    if size == 0 or size < -1:
        raise bad("group_size", size, "-1 or a positive number")
    return size


def overridden(config: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """``config`` with ``overrides`` on top: a field overridden under one spelling loses its other spellings."""
    hidden = {name for names in _SYNONYMS.values() if any(name in overrides for name in names) for name in names}
    return {key: value for key, value in config.items() if key not in hidden} | dict(overrides)


def producer(config: Mapping[str, Any]) -> tuple[str, tuple[int, ...]] | None:
    """Name and version of the program that wrote ``meta.quantizer`` or ``quantizer``, or None."""
    meta = config.get("meta")
    value = meta.get("quantizer") if isinstance(meta, Mapping) else None
    value = value if value is not None else config.get("quantizer")
    if isinstance(value, (list, tuple)):
        value = value[0] if value else None
    if not isinstance(value, str) or not value:
        return None
    name, _, version = value.partition(":")
    return name.strip().lower(), tuple(int(part) for part in re.findall(r"[0-9]{1,9}", version)[:3])


def shown(value: object) -> str:
    """A value in a message: neither pages of it, nor a number whose digits Python would not write."""
    try:
        return repr(value)[:300]
    except (ValueError, RecursionError):
        return f"a {type(value).__name__} beyond measure"


def pair(field: str, value: object, expected: str) -> tuple[int, int]:
    """Two positive numbers; ``bad-config-value`` for anything else, saying what is ``expected``."""
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise bad(field, value, expected)
    if not all(isinstance(number, int) and not isinstance(number, bool) and number > 0 for number in value):
        raise bad(field, value, expected)
    return value[0], value[1]


def bad(field: str, value: object, expected: str) -> MalformedCheckpoint:
    return MalformedCheckpoint("bad-config-value", f"{field} is {shown(value)}, expected {expected}", where=field)


def undecoded_layout(
    dialect: str, key: str, layout: str, decoded: Iterable[str], advice: Mapping[str, str]
) -> UnsupportedFormat:
    """The refusal of a variant by its label, which stands under ``key``, with what is known to help."""
    remedy = advice.get(folded(layout), "use a plain GPTQ or AWQ (gemm) export; this layout is unknown")
    return UnsupportedFormat(
        "unsupported-layout",
        f"{dialect} layout {layout!r} is not decoded; supported: {', '.join(decoded)}. What to do: {remedy}",
        where=key,
    )
