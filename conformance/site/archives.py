"""The suite's vectors, a ZIP file a format: equal bytes from equal vectors."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..formats.registry import BY_SLUG
from .names import SiteError

_MANIFEST, _FOLDERS = "manifest.json", "checkpoints.json"
# The first date that a ZIP file can hold.
_NEVER = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Archive:
    """One file: what it weighs, how many tests it has and of which suite."""

    bytes: int
    tests: int
    suite: str
    sha256: str


def write(exported: Path, folder: Path) -> dict[str, Archive]:
    """Of what ``export`` wrote, by slug. SiteError where that is not an export."""
    try:
        manifest = json.loads((exported / _MANIFEST).read_text(encoding="utf-8"))
        folders = json.loads((exported / _FOLDERS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SiteError(f"{exported} is no export: {error}") from error
    folder.mkdir(parents=True, exist_ok=True)
    return {slug: _write(exported, manifest, folders, slug, folder / f"{slug}.zip") for slug in BY_SLUG}


def _write(exported: Path, manifest: Any, folders: Any, slug: str, file: Path) -> Archive:
    tests = [test for test in folders["tests"] if test["format"] == slug]
    own = {name: (exported / name).read_bytes() for name in _names(exported, manifest, tests, slug)}
    count = len(tests) + sum(entry["tests"] for entry in manifest["files"] if _is_of(entry, slug))
    own[_FOLDERS] = _json(folders | {"numberOfTests": len(tests), "tests": tests})
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in sorted(own.items()):
            entry = zipfile.ZipInfo(f"{slug}/{name}", _NEVER)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, data)
    data = file.read_bytes()
    return Archive(len(data), count, manifest["suite"], sha256(data).hexdigest())


def _is_of(entry: Any, slug: str) -> bool:
    return bool(entry.get("format") == slug)


def _names(exported: Path, manifest: Any, tests: list[Any], slug: str) -> Iterator[str]:
    yield "README.md"
    folders = tuple(f"{test['id']}/" for test in tests)
    for entry in manifest["files"]:
        name = entry["path"]
        if name.startswith(("schema/", *folders)):
            yield name
        elif _is_of(entry, slug) and name.endswith(".json"):
            yield name
            yield json.loads((exported / name).read_text(encoding="utf-8"))["tensors"]


def _json(document: Any) -> bytes:
    return (json.dumps(document, indent=1) + "\n").encode()
