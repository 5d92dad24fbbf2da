"""What is known so far, on disk: a line a repo, each written through before the next begins."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from .asking import PASSING, Row
from .listing import Repo, SurveyError

FORMAT = 1


class Journal:
    """``with Journal(file, header) as journal``: rows that are there are kept, and new ones are added.

    A last line that was not written whole is dropped. Of two rows of one repo the later one holds. Only one process
    may have a journal open.

    Attributes:
        settled: repos whose rows need not be asked for again.
    """

    def __init__(self, file: Path, header: Mapping[str, Any]) -> None:
        self._path, self._header = file, {"survey": FORMAT, **header}
        self._places: dict[Repo, int] = {}
        self.settled: set[Repo] = set()

    def __enter__(self) -> Journal:
        try:
            self._file: BinaryIO = open(self._path, "a+b")
        except OSError as error:
            raise SurveyError(f"{self._path}: {error.strerror}") from error
        try:
            self._begin()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, row: Row) -> None:
        """On disk when this returns."""
        place = self._file.seek(0, os.SEEK_END)
        self._write(row)
        self._note(row, place)

    def rows(self, repos: list[Repo]) -> Iterator[Row]:
        """The rows of these repos, in their order; those without one are left out."""
        for repo in repos:
            if repo in self._places:
                self._file.seek(self._places[repo])
                yield json.loads(self._file.readline())

    def _begin(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise SurveyError(f"{self._path}: another survey is writing it") from error
        self._file.seek(0)
        header, whole = self._file.readline(), 0
        if json.dumps(self._header).encode().startswith(header):
            # Nothing was written yet, or only a part of this line.
            self._file.truncate(0)
            self._write(self._header)
            _sync_folder(self._path.parent)
            return
        self._require_same(header)
        whole = self._file.tell()
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            self._note(self._parsed(line), whole)
            whole += len(line)
        self._file.truncate(whole)

    def _require_same(self, line: bytes) -> None:
        found = self._parsed(line)
        if found.get("survey") != FORMAT:
            raise SurveyError(f"{self._path} is no journal of a survey; name another file for the table")
        for name, value in self._header.items():
            if found.get(name) != value:
                raise SurveyError(
                    f"{self._path} was begun with {name} {found.get(name)!r}, and this is {value!r}: rows of the two "
                    "would not compare; begin anew with --anew, or name another file"
                )

    def _parsed(self, line: bytes) -> Row:
        try:
            found = json.loads(line)
        except ValueError as error:
            raise SurveyError(f"{self._path} is damaged ({error}); begin anew with --anew") from error
        if not isinstance(found, dict):
            raise SurveyError(f"{self._path} is no journal of a survey; name another file for the table")
        return found

    def _note(self, row: Row, place: int) -> None:
        repo = Repo(row["repo"], row.get("revision"))
        self._places[repo] = place
        (self.settled.discard if row.get("code") in PASSING else self.settled.add)(repo)

    def _write(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(line, default=str).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def _sync_folder(folder: Path) -> None:
    """Or the file could be gone after a crash, with every row in it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
