"""Lists of repos: one a line, ``owner/name`` or ``owner/name@revision``, and ``#`` before a remark."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


class SurveyError(Exception):
    """A survey cannot begin, or cannot go on."""


@dataclass(frozen=True, slots=True)
class Repo:
    """``id`` as it was listed; ``revision`` is None for the branch that the Hub shows first."""

    id: str
    revision: str | None = None

    @property
    def name(self) -> str:
        """As in a list."""
        return self.id if self.revision is None else f"{self.id}@{self.revision}"


def repos(lines: Iterable[str]) -> list[Repo]:
    """The repos of a list, each once, in its order. What is no name of a repo stays in, for the Hub to refuse."""
    found: dict[Repo, None] = {}
    for line in lines:
        text = line.partition("#")[0].strip()
        if text:
            id, _, revision = text.partition("@")
            found[Repo(id, revision or None)] = None
    return list(found)
