"""The suite as plain files, for readers in any language: safetensors in, bits expected, JSON with a schema.

Two exports of one suite are equal byte for byte: no dates, no paths, nothing of the machine that wrote them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from .. import SUITE_VERSION
from ..bits.safetensors_file import DTYPES, write_safetensors
from ..formats.registry import BY_SLUG
from ..mutants import Bug
from .checkpoints import checkpoints
from .modules import GENERATOR, generated, groups, tests

SCHEMAS = Path(__file__).with_name("schema")
PAGE = Path(__file__).with_name("README.md")
RESULTS = ("valid", "refused", "either")

Document = dict[str, Any]


def export(folder: Path, say: Callable[[str], None] = lambda _: None) -> Document:
    """Write everything into ``folder``, which is made and must be empty, and return the manifest.

    ``say`` hears a line for every file of tests.

    Raises:
        FileExistsError: ``folder`` holds something.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty")
    documents: dict[str, Document] = {}
    for group in groups():
        document, tensors = tests(group)
        documents[f"{group.stem}.json"] = document
        (folder / document["tensors"]).write_bytes(write_safetensors(tensors))
        say(f"{group.stem}: {document['numberOfTests']} tests")
    documents["checkpoints.json"] = checkpoints(folder / "checkpoints")
    say(f"checkpoints: {documents['checkpoints.json']['numberOfTests']} tests")
    for name, document in documents.items():
        _write_json(folder / name, document)
    (folder / "schema").mkdir()
    for file in sorted(SCHEMAS.glob("*.schema.json")):
        _write_json(folder / "schema" / file.name, schema(file))
    levels = _levels(documents)
    (folder / "README.md").write_bytes(f"{PAGE.read_text(encoding='utf-8')}\n{_table(levels)}".encode())
    files = list(_files(folder, documents))
    manifest = {
        "schema": "schema/manifest.schema.json",
        "suite": SUITE_VERSION,
        "generator": {"name": GENERATOR, "version": SUITE_VERSION},
        "license": "Apache-2.0",
        **{key: sum(counts[key] for counts in levels.values()) for key in ("tests", *RESULTS)},
        "bytes": sum(entry["bytes"] for entry in files),
        "levels": levels,
        "generated": generated(),
        "files": files,
    }
    _write_json(folder / "manifest.json", manifest)
    return manifest


def schema(file: Path) -> Document:
    """A schema with the formats, kinds of bug and dtypes that the suite has by now."""
    found: Document = json.loads(file.read_text(encoding="utf-8"))
    enums = {"format": sorted(BY_SLUG), "bugType": [bug.value for bug in Bug], "dtype": DTYPES}
    for name, values in enums.items():
        if name in found["$defs"]:
            found["$defs"][name] = {"enum": list(values)}
    return found


def _write_json(file: Path, document: Document) -> None:
    # Bytes, because a text file's line ends would depend on the system.
    file.write_bytes((json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())


def _levels(documents: dict[str, Document]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    for document in documents.values():
        counts.setdefault(document["level"], Counter()).update(test["result"] for test in document["tests"])
    return {
        level: {"tests": count.total()} | {result: count[result] for result in RESULTS}
        for level, count in counts.items()
    }


def _table(levels: dict[str, dict[str, int]]) -> str:
    lines = [f"## In this export, suite {SUITE_VERSION}", "", "| level | tests | valid | refused | either |"]
    lines.append("|---|---|---|---|---|")
    lines += [
        f"| {level} | {' | '.join(str(count) for count in counts.values())} |" for level, counts in levels.items()
    ]
    return "\n".join(lines) + "\n"


def _files(folder: Path, documents: dict[str, Document]) -> Iterator[Document]:
    paths = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    for path, file in sorted(paths.items()):
        data = file.read_bytes()
        entry: Document = {"path": path, "bytes": len(data), "sha256": sha256(data).hexdigest()}
        if path in documents:
            document = documents[path]
            entry |= {"tests": document["numberOfTests"], "level": document["level"]}
            entry |= {"format": document["format"]} if "format" in document else {}
        yield entry
