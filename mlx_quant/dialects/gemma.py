"""Gemma's own configurations, as transformers reads them: a width for all modules, and others by patterns of names.

All patterns make one expression in which each is an alternative, and that is searched for in a name: of two that match,
the one that matches further to the left decides, and only then the one that is written first. Which modules are packed
is seen from their tensors, whatever ``modules_to_not_convert`` and ``quantize_embeddings`` say. Source: transformers
5.23.0, ``integrations/gemma_quant.py`` (``replace_with_quant_layers``), ``utils/quantization_config.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import fields
from .patterns import Pattern, Patterns
from .schemes import Scheme, Schemes

ID = "gemma"
RULES = "module_quant_configs"

_BITS = "num_bits"
_USUAL = 4


def recognises(config: Mapping[str, Any], named: str | None) -> bool:
    return named == ID


def stated(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: config.get(key) for key in (_BITS, RULES)}


def schemes(config: Mapping[str, Any]) -> Schemes:
    default = _width(config, _USUAL)
    rules = config.get(RULES)
    if rules is None:
        rules = {}
    if not isinstance(rules, Mapping):
        raise fields.bad(RULES, rules, "a mapping of patterns to settings")
    widths = []
    for pattern, own in rules.items():
        if not isinstance(pattern, str):
            raise fields.bad(RULES, pattern, "patterns that are texts")
        if not isinstance(own, Mapping) or own.keys() - {_BITS}:
            raise fields.bad(f"{RULES}.{pattern}"[:300], own, f"a mapping with {_BITS} alone")
        widths.append((pattern, _width(own, default)))
    # Each by itself as well: a parenthesis that one opens and another closes is no pattern.
    patterns = Patterns()
    for pattern, _ in widths:
        patterns.compiled(pattern, RULES)
    joined = "|".join(f"(?P<g{number}>{pattern})" for number, (pattern, _) in enumerate(widths))
    return Ruled(_scheme(default), tuple(widths), patterns.compiled(joined, RULES) if widths else None)


@dataclass(frozen=True)
class Ruled:
    """A width for all, and those of patterns."""

    default: Scheme
    widths: tuple[tuple[str, int], ...]
    joined: Pattern | None

    def scheme(self, module: str) -> Scheme:
        number = self._rule(module)
        return self.default if number is None else _scheme(self.widths[number][1])

    def place(self, module: str) -> str | None:
        number = self._rule(module)
        return None if number is None else f"{RULES}.{self.widths[number][0]}"

    def _rule(self, module: str) -> int | None:
        if self.joined is None or not module:
            return None
        # Patterns may have groups of their own, of other names than these.
        found = {name for name in self.joined.groups(module) if name.startswith("g") and name[1:].isdecimal()}
        return next((number for number in range(len(self.widths)) if f"g{number}" in found), None)


def _width(settings: Mapping[str, Any], default: int) -> int:
    """A null is no default: transformers makes 8 bits of whatever is neither 2 nor 4."""
    if _BITS in settings and settings[_BITS] is None:
        raise fields.bad(_BITS, None, "2, 4 or 8")
    return fields.integer(settings, _BITS, default)


def _scheme(bits: int) -> Scheme:
    return Scheme(dialect=ID, packing="gemma_quant", bits=bits, group_size=-1, layout=ID, sym=True)
