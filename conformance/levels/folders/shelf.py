"""Folders that are listed at once, and drawn when the first of them is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from typing import Any

from ...formats.build import in_outline
from ...formats.dialects import spoken
from ...formats.folder import Folder


@dataclass(frozen=True)
class Outline:
    """What a list says of a folder."""

    id: str
    format: str
    code: str | None
    either: bool
    own: frozenset[str]
    settings: tuple[Mapping[str, Any], ...]

    @classmethod
    def of(cls, folder: Folder) -> Outline:
        return cls(folder.id, folder.format, folder.code, folder.either, folder.flags, tuple(folder.settings()))

    @cached_property
    def flags(self) -> frozenset[str]:
        """All that a loader needs to read it."""
        return frozenset({self.format, *self.own}.union(*map(spoken, self.settings)))

    def says(self) -> tuple[Any, ...]:
        """Everything, but of the settings what is read of them."""
        return self.id, self.format, self.code, self.either, self.flags


class Shelf:
    """The folders that one function makes, in outline until one of them is looked at."""

    def __init__(self, make: Callable[[], Iterable[Folder]]) -> None:
        self.make = make

    @cached_property
    def outlines(self) -> tuple[Outline, ...]:
        with in_outline():
            return tuple(map(Outline.of, self.make()))

    @cached_property
    def drawn(self) -> dict[str, Folder]:
        """All of them by id. RuntimeError if one is not what its outline says: what depends on numbers may not be."""
        found = list(self.make())
        for folder, outline in zip_longest(found, self.outlines):
            if folder is None or outline is None or Outline.of(folder).says() != outline.says():
                raise RuntimeError(f"{(folder or outline).id} is listed otherwise than it is drawn")
        return {folder.id: folder for folder in found}

    def folder(self, id: str) -> Folder:
        return self.drawn[id]
