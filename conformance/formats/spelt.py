"""How settings may be spelt in any format: null for an absent key, and names in either case."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..bits.array import Array
from .module import Spelling
from .parts import Config

# Null says something here: that one scale is for the whole matrix. The key absent means blocks of a usual size.
_MEANT = ("weight_block_size",)


def written(config: Config) -> dict[str, Any]:
    """The settings that have a value: null means the same as an absent key, wherever it does not say something."""
    return {key: value for key, value in config.items() if value is not None or key in _MEANT}


def nulls(slug: str, config: Config, tensors: dict[str, Array], keys: Iterable[str]) -> Iterator[Spelling]:
    """A module whose config holds null for one key after another, beside the same without the key."""
    for key in keys:
        absent = {name: value for name, value in config.items() if name != key}
        yield Spelling(f"{slug}-null-{key}", "null", absent | {key: None}, tensors, absent, tensors)


def upper_case(slug: str, config: Config, tensors: dict[str, Array], names: Mapping[str, str]) -> Iterator[Spelling]:
    """A module whose config spells one name after another in capitals."""
    for key, name in names.items():
        plain = dict(config) | {key: name}
        yield Spelling(f"{slug}-upper-case-{key}", "case", plain | {key: name.upper()}, tensors, plain, tensors)
