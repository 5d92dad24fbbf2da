"""A checkpoint folder as plain data."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..bits.array import Array
from ..bits.safetensors_file import write_safetensors

Shard = dict[str, Array]


@dataclass(frozen=True)
class Packed:
    """One packed module of a folder, and the config that is true of it, whatever the folder's files say.

    ``stored`` is set where the file holds other tensors than the plain spelling of the same module.
    """

    config: dict[str, Any]
    tensors: dict[str, Array]
    stored: dict[str, Array] | None = None


@dataclass
class Folder:
    """A checkpoint as its files, and what a sound loader makes of it.

    ``format`` is the slug of what its modules are packed as, and ``flags`` say what else a loader needs to read it.
    ``packed`` modules are expected decoded and ``plain`` tensors as they are; no other weight may appear but those of
    ``optional``, which must be right if they do. ``code`` is set where the folder is unsound: then only that refusal is
    right, or, with ``either``, also the full set of weights.
    """

    id: str
    format: str
    json: dict[str, dict[str, Any]]
    shards: dict[str, Shard]
    packed: dict[str, Packed] = field(default_factory=dict)
    plain: Shard = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    code: str | None = None
    either: bool = False
    name: str = "checkpoint"
    raw: dict[str, bytes] = field(default_factory=dict)
    flags: frozenset[str] = frozenset()

    def write(self, parent: Path) -> Path:
        folder = parent / self.name
        folder.mkdir()
        for file, content in self.json.items():
            (folder / file).write_text(json.dumps(content))
        for file, tensors in self.shards.items():
            (folder / file).write_bytes(write_safetensors(tensors))
        for file, data in self.raw.items():
            (folder / file).write_bytes(data)
        return folder
