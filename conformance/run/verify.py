"""A checkpoint somebody names, decoded by the core and by the reference, module by module."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..bits.difference import Histogram, difference
from ..bits.frameworks import from_framework
from ..subjects.resolve import resolve, resolve_apart

_ALONE = threading.Lock()


class VerifyError(Exception):
    """Nothing could be compared."""


@dataclass(frozen=True)
class Module:
    """One packed module; ``complaint`` is empty where both decode it to the same bits."""

    name: str
    weights: int
    wrong: int
    ulps: Histogram
    complaint: str


def folder_of(path_or_repo: str, revision: str | None = None) -> Path:
    """A folder as it is; anything else is a repo on the Hugging Face Hub, and is downloaded into its cache."""
    folder = Path(path_or_repo)
    if folder.is_dir():
        return folder
    if path_or_repo.count("/") != 1 or path_or_repo.startswith((".", "/")):
        raise VerifyError(f"no folder {path_or_repo}, and no name of a repo either")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        kept = ["*.json", "*.safetensors"]
        return Path(snapshot_download(path_or_repo, revision=revision, allow_patterns=kept))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise VerifyError(f"{path_or_repo}: {error}") from error


def modules(
    subject: Any, oracle: Any, folder: Path, start: Callable[[int], None] = lambda count: None
) -> Iterator[Module]:
    """Compare one after the other; only one module is in memory. VerifyError if either does not open the folder."""
    mine, theirs = _opened(subject, oracle, folder)
    names = sorted(mine.keys() | theirs.keys())
    start(len(names))
    for name in names:
        yield _compared(name, subject, mine, oracle, theirs)


def names(subject: Any, oracle: Any, folder: Path) -> list[str]:
    """The modules that either finds. VerifyError as :func:`modules`."""
    mine, theirs = _opened(subject, oracle, folder)
    return sorted(mine.keys() | theirs.keys())


def one(subject: str, oracle: str, folder: Path, name: str) -> Module:
    """Compare one module, by subjects that are named; for a process that is asked for many of one checkpoint."""
    # However many threads there are: one module is to be in memory.
    with _ALONE:
        try:
            mine, theirs, *readers = _kept(subject, oracle, folder)
            return _compared(name, readers[0], mine, readers[1], theirs)
        except Exception as error:
            return failed(name, str(error))


def failed(name: str, why: str) -> Module:
    """A module that could not be compared."""
    return Module(name, 0, 0, {}, why)


@lru_cache(maxsize=1)
def _kept(subject: str, oracle: str, folder: Path) -> tuple[Any, ...]:
    readers = resolve_apart(subject), resolve(oracle)
    return *_opened(*readers, folder), *readers


def _opened(subject: Any, oracle: Any, folder: Path) -> list[Any]:
    opened = []
    for reader in (subject, oracle):
        try:
            opened.append(reader.open(folder))
        except reader.refusals as error:
            raise VerifyError(f"{reader.name} refuses {folder.name}: {error}") from error
    return opened


def _compared(name: str, subject: Any, mine: Any, oracle: Any, theirs: Any) -> Module:
    if name not in mine or name not in theirs:
        return Module(name, 0, 0, {}, f"{(oracle if name in mine else subject).name} has no such module")
    values = []
    for reader, weights in ((subject, mine), (oracle, theirs)):
        try:
            values.append(from_framework(weights[name], reader.framework))
        except Exception as error:  # a refusal of one module is as much a finding as a crash
            return Module(name, 0, 0, {}, f"{reader.name}: {error}")
    found = difference(*values)
    return Module(name, found.total, found.wrong, found.ulps, found.text)
