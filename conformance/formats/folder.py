"""A checkpoint folder as plain data."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..bits.array import Array
from ..bits.safetensors_file import write_safetensors

Shard = dict[str, Array]
# Of a config: what the header of a file says of the weights, by their names.
METADATA = "metadata"
# The same: what the model says of a layer, and no file of some formats does.
INPUTS = "in_features"
# Of a config: descriptions of modules by their names, of a module alone by "", and the file in which they are on disk.
MODULES, BESIDE = "modules", "model.safetensors.index.json.meta.json"


def sized(config: Mapping[str, Any], out: int, in_features: int) -> dict[str, Any]:
    """A config of one module; where that describes it, or says what the model does, it is of this shape."""
    found = dict(config)
    if INPUTS in found:
        found[INPUTS] = in_features
    if MODULES in found:
        (key, own), *_ = found[MODULES][""].items()
        found[MODULES] = {"": {key: own | {"shape": [out, in_features]}}}
    return found


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
    right, or, with ``either``, also the full set of weights. ``linked`` folders lie in a cache of the Hub, whose files
    are links: ``name`` has three parts then. ``said`` is what the headers of all its files say beside the ``metadata``
    that the configs of its modules have, which is not said in its JSON; what these have as ``modules`` is in a file of
    its own, unless ``json`` holds another one.
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
    linked: bool = False
    said: dict[str, str] | None = None

    def settings(self) -> Iterator[Mapping[str, Any]]:
        """The config of every packed module, and every object of the files: a loader may find its settings in any."""
        yield from (packed.config for packed in self.packed.values())
        found: list[Any] = list(self.json.values())
        while found:
            value = found.pop()
            if isinstance(value, Mapping):
                yield value
                found += value.values()

    def write(self, parent: Path) -> Path:
        """Write it into ``parent``, and return the folder to load."""
        folder = parent / self.name
        folder.mkdir(parents=True)
        contents = self._beside() | self.json
        files = {name: json.dumps(_unsaid(content)).encode() for name, content in contents.items()}
        metadata = self.metadata()
        files |= {name: write_safetensors(tensors, metadata) for name, tensors in self.shards.items()}
        for name, data in (files | self.raw).items():
            if self.linked:
                self._link(folder / name, data)
            else:
                (folder / name).write_bytes(data)
        return folder

    def _beside(self) -> dict[str, dict[str, Any]]:
        """The file that describes its modules, if their configs do."""
        own = {name: packed.config[MODULES][""] for name, packed in self.packed.items() if MODULES in packed.config}
        return {BESIDE: own} if own else {}

    def metadata(self) -> dict[str, str]:
        """The ``__metadata__`` of all its files: what the config of a module says of ``weight`` is said of its own."""
        found = {
            f"{module}.{name}": text
            for module, packed in self.packed.items()
            for name, text in (packed.config.get(METADATA) or {}).items()
        }
        if not found:
            return self.said or {}
        return {"format": "pt", **found, "tensor_names": json.dumps([*found])} | (self.said or {})

    def _link(self, file: Path, data: bytes) -> None:
        """As the Hub's cache does: the bytes lie in ``blobs`` under their digest, and the file is a link to them."""
        blob = file.parents[2] / "blobs" / sha256(data).hexdigest()
        blob.parent.mkdir(exist_ok=True)
        blob.write_bytes(data)
        file.symlink_to(Path("..", "..", "blobs", blob.name))


def _unsaid(content: Any) -> Any:
    """JSON without what is said in headers, in a file of its own, or by the model."""
    if not isinstance(content, Mapping):
        return content
    if "quant_method" in content:
        content = {key: value for key, value in content.items() if key not in (METADATA, MODULES)}
    return {key: _unsaid(value) for key, value in content.items() if key != INPUTS}
