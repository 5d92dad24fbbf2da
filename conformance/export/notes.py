"""What is written beside the exported tests: a note for every flag, every refusal code and every checkpoint folder.

A note names mutants, the faults of real loaders that the suite has built in; kinds of bug and links come from them, so
that no link is written down twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from ..formats.folder import Folder
from ..formats.registry import BY_SLUG, FORMATS
from ..mutants import MUTANTS, Mutant
from .codes import CODES
from .flags import FLAGS, POLICY
from .folder_notes import FOLDERS

_POLICIES = "docs/policies.md#"


@dataclass(frozen=True)
class Note:
    """``mutants`` are ids, ``policies`` headings of docs/policies.md as anchors."""

    text: str
    mutants: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()

    @property
    def bug_types(self) -> list[str]:
        return sorted({_mutants()[id].bug.value for id in self.mutants})

    @property
    def links(self) -> list[str]:
        found = [f"{_POLICIES}{anchor}" for anchor in self.policies]
        found += [link for id in self.mutants for link in _mutants()[id].links]
        return list(dict.fromkeys(found))

    def as_json(self) -> dict[str, Any]:
        return {"bugTypes": self.bug_types, "description": self.text, "links": self.links}


@cache
def _mutants() -> dict[str, Mutant]:
    return {mutant.id: mutant for mutant in MUTANTS}


def _of(row: tuple[str, str]) -> Note:
    """From a row of a table: the text, and words that are mutants, or policies behind a ``#``."""
    text, words = row[0], row[1].split()
    policies = tuple(POLICY[word[1:]] for word in words if word.startswith("#"))
    return Note(text, tuple(word for word in words if not word.startswith("#")), policies)


def flag_note(flag: str, slug: str = "") -> Note:
    """What a flag means in a format, or in the first that has it. KeyError for a flag that nobody has described."""
    own = (format.FLAG_NOTES for format in sorted(FORMATS.values(), key=lambda format: slug != format.SLUG))
    return _of(next((notes for notes in own if flag in notes), FLAGS)[flag])


def code_note(code: str) -> Note:
    return _of(CODES[code])


def folder_note(folder: Folder) -> Note:
    """KeyError for a folder that nobody has described."""
    id = folder.id.removeprefix(f"{folder.format}-")
    own = BY_SLUG[folder.format].FOLDER_NOTES
    return _of(own[id] if id in own else FOLDERS[id])
