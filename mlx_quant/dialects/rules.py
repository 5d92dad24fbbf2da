"""Rules that give modules a scheme of their own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ..errors import QuantError
from . import fields
from .schemes import Scheme


class Rule(Protocol):
    """One of them: the key it stands under, and the fields it overrides, None if it leaves them all."""

    place: str
    values: Mapping[str, Any] | None


class Ruled(ABC):
    """The schemes of one checkpoint. A rule's values are read when it first decides for a module."""

    def __init__(self, config: Mapping[str, Any], read: Callable[[Mapping[str, Any]], Scheme]) -> None:
        self._config, self._read_scheme, self.default = config, read, read(config)
        self._found: dict[str, Rule | None] = {}
        self._read: dict[str, Scheme] = {}

    @abstractmethod
    def _find(self, module: str) -> Rule | None:
        """The rule that decides for a module."""

    def scheme(self, module: str) -> Scheme:
        rule = self._rule(module)
        if rule is None or rule.values is None:
            return self.default
        if rule.place not in self._read:
            try:
                self._read[rule.place] = self._read_scheme(fields.overridden(self._config, rule.values))
            except QuantError as error:
                raise type(error)(error.code, error.message, where=rule.place) from None
        return self._read[rule.place]

    def place(self, module: str) -> str | None:
        rule = self._rule(module)
        return rule.place if rule else None

    def _rule(self, module: str) -> Rule | None:
        if module not in self._found:
            self._found[module] = self._find(module)
        return self._found[module]
