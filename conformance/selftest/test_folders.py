"""Checkpoint folders: files, settings and modules that loaders got wrong, and what must be refused."""

from __future__ import annotations

from typing import Any

import pytest

from ..cases.case import Case
from ..levels.folders.every import cases, shelves
from ..levels.folders.shelf import Shelf
from .ledger import Ledger


@pytest.mark.parametrize("role", ["subject", "oracle"])
@pytest.mark.parametrize("case", list(cases()), ids=lambda case: case.id)
def test_is_loaded_or_refused(role: str, case: Case, oracle: Any, ledger: Ledger, request: Any) -> None:
    loader = request.getfixturevalue(role)
    if not hasattr(loader, "load"):
        ledger.excuse("checkpoints", f"{loader.name} has no load()")
        pytest.skip("the subject decodes single modules only")
    ledger.judged("checkpoints", case.judge(loader, oracle))


def test_the_cases_have_names_of_their_own() -> None:
    names = [case.id for case in cases()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("shelf", shelves())
def test_they_are_listed_as_they_are_drawn(shelf: Shelf) -> None:
    # Each was held to its outline where they were drawn.
    assert list(shelf.drawn) == [outline.id for outline in shelf.outlines]
