"""A checkpoint somebody names, decoded by the core and by the reference, module by module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..bits.difference import Histogram, difference
from ..bits.frameworks import from_framework


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
    opened = []
    for reader in (subject, oracle):
        try:
            opened.append(reader.open(folder))
        except reader.refusals as error:
            raise VerifyError(f"{reader.name} refuses {folder.name}: {error}") from error
    mine, theirs = opened
    names = sorted(mine.keys() | theirs.keys())
    start(len(names))
    for name in names:
        yield _compared(name, subject, mine, oracle, theirs)


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
