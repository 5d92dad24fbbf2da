"""Tests of whole checkpoints: the folders as they are, and the digest of every weight a loader must make of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .. import SUITE_VERSION
from ..bits.array import Array
from ..cases.question import Source
from ..formats.folder import Folder
from ..formats.registry import parts
from ..levels.folders.every import folders
from ..suite import cases
from .modules import notes, source
from .notes import code_note, folder_note

_SOURCE = Source("the formats of the files and the architecture; packed modules by the contract")


def checkpoints(parent: Path) -> dict[str, Any]:
    """Write the folders into ``parent`` and return the JSON document.

    The real checkpoints are left out: their modules are a level of their own, and the rest of them is nothing special.
    """
    flags = {case.id: case.flags for case in cases() if case.level == "checkpoints"}
    found = []
    for folder in folders(()):
        (parent / folder.id).mkdir(parents=True)
        folder.write(parent / folder.id)
        found.append(_test(folder, sorted(flags[f"checkpoints/{folder.id}"])))
    codes = {test["refusal"]["code"] for test in found if "refusal" in test}
    return {
        "schema": "schema/checkpoints.schema.json",
        "suite": SUITE_VERSION,
        "level": "checkpoints",
        "numberOfTests": len(found),
        "notes": notes(found),
        "codes": {code: code_note(code).as_json() for code in sorted(codes)},
        "tests": found,
    }


def _test(folder: Folder, flags: list[str]) -> dict[str, Any]:
    note = folder_note(folder)
    test: dict[str, Any] = {
        "id": f"checkpoints/{folder.id}",
        "format": folder.format,
        "comment": note.text,
        "flags": flags,
        "bugTypes": note.bug_types,
        "links": note.links,
        "folder": f"checkpoints/{folder.id}/{folder.name}",
        "result": "valid" if folder.code is None else "either" if folder.either else "refused",
    }
    if folder.code is None or folder.either:
        test["weights"] = {
            name: {
                "dtype": array.dtype,
                "shape": list(array.shape),
                "sha256": array.sha256(),
                "required": name not in folder.optional,
            }
            for name, array in sorted(_weights(folder).items())
        }
    if folder.code is not None:
        test["refusal"] = {"code": folder.code, "meaning": code_note(folder.code).text}
    return test | {"source": source(_SOURCE)}


def _weights(folder: Folder) -> dict[str, Array]:
    packed = {f"{name}.weight": parts(own.config, own.tensors).dense(None) for name, own in folder.packed.items()}
    return folder.plain | packed
