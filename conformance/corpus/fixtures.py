"""Where the suite's files are, and how they are read: ``fixtures/<format id>/{vectors,models}``."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

from ..bits.array import Array
from ..bits.safetensors_file import read_metadata, read_safetensors
from ..formats import quanto_int4, quanto_int8
from ..formats.folder import BESIDE, METADATA, MODULES
from ..formats.module import full_name
from ..formats.protocol import Format
from ..formats.registry import FORMATS, config_of, known, leaves, marks

_HERE = Path(__file__).parents[1]
ROOT = _HERE / "_fixtures" if (_HERE / "_fixtures").is_dir() else _HERE.parent / "fixtures"
INSTALLED = ROOT.parent == _HERE
# What readers made of a vector goes by this and the reader's name.
_EXPECTED = "expected."
# Checkpoint to its format.
CHECKPOINTS = {name: format for format in FORMATS.values() for name in format.FILES.checkpoints}


@dataclass(frozen=True)
class Vector:
    """One upstream-packed module: inputs, and the dense weight each upstream reader made of them.

    ``dtype`` is what they were asked for, where it is not the format's own; ``stored`` gives the tensors of its file by
    the ids of its vectors, once it is read.
    """

    id: str
    format: Format
    producer: str
    config: dict[str, Any]
    flags: frozenset[str]
    comment: str
    stored: Callable[[], dict[str, dict[str, Array]]]
    dtype: str | None = None

    @cached_property
    def tensors(self) -> dict[str, Array]:
        return {name: array for name, array in self.stored()[self.id].items() if not name.startswith(_EXPECTED)}

    @cached_property
    def expected(self) -> dict[str, Array]:
        """By the name of a reader."""
        own = self.stored()[self.id].items()
        return {name.removeprefix(_EXPECTED): array for name, array in own if name.startswith(_EXPECTED)}

    def __repr__(self) -> str:
        return f"Vector({self.id})"


@cache
def vectors() -> tuple[Vector, ...]:
    """Those that are held to upstream's own readers."""
    return tuple(v for format in FORMATS.values() for stem in format.FILES.vectors for v in _vectors(format, stem))


@cache
def produced_vectors() -> tuple[Vector, ...]:
    """Those of producers that store zero points in a way of their own: see the written policies."""
    return tuple(v for format in FORMATS.values() for stem in format.FILES.produced for v in _vectors(format, stem))


def _vectors(format: Format, stem: str) -> Iterator[Vector]:
    folder = ROOT / format.ID / "vectors"
    index = json.loads((folder / f"{stem}.json").read_text())
    stored = cache(partial(_stored, folder / f"{stem}.safetensors"))
    for case in index["cases"]:
        yield Vector(
            id=case["id"],
            format=format,
            producer=f"{index['package']}-{index['version']}",
            config=case["config"],
            flags=frozenset(case["flags"]),
            comment=case["comment"],
            stored=stored,
            dtype=case.get("asked"),
        )


def _stored(file: Path) -> dict[str, dict[str, Array]]:
    found: dict[str, dict[str, Array]] = {}
    for name, array in read_safetensors(file.read_bytes()).items():
        id, _, own = name.partition("/")
        found.setdefault(id, {})[own] = array
    return found


@cache
def upstream_digests() -> dict[str, dict[str, dict[str, Any]]]:
    """Checkpoint to module to the shape, dtype and SHA-256 of the dense weight [out, in] as upstream decodes it."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for format in FORMATS.values():
        for stem in format.FILES.digests:
            file = ROOT / format.ID / "vectors" / f"checkpoint-digests-{stem}.json"
            found |= json.loads(file.read_text())["checkpoints"]
    return found


@dataclass(frozen=True)
class TinyCheckpoint:
    """A real packed model of the fixtures, its tensors as stored; ``said`` is what the headers of its files say."""

    folder: Path
    format: Format
    config: dict[str, Any]
    tensors: dict[str, Array]
    said: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def lent(self) -> Iterator[Path]:
        """A copy of its folder: a loader under test may do anything to what it is given."""
        with tempfile.TemporaryDirectory() as parent:
            yield Path(shutil.copytree(self.folder, Path(parent, self.folder.name)))

    @cached_property
    def packed(self) -> tuple[str, ...]:
        """The names of its packed modules."""
        suffixes = tuple(full_name("", mark) for mark in marks())
        names = (name for name in self.tensors if name.endswith(suffixes))
        return tuple(sorted({name.removesuffix(end) for name in names for end in suffixes if name.endswith(end)}))

    @cached_property
    def modules(self) -> dict[str, dict[str, Array]]:
        """Packed modules: name to local tensors."""
        return {
            name: {leaf: self.tensors[full] for leaf, full in self.stored_names(name).items()} for name in self.packed
        }

    def stored_names(self, module: str) -> dict[str, str]:
        """The tensors of a packed module, and its bias: local to full name."""
        named = {leaf: full_name(module, leaf) for leaf in (*leaves(), "bias")}
        for format in FORMATS.values():
            named |= format.beside(module) if hasattr(format, "beside") else {}
        return {leaf: full for leaf, full in named.items() if full in self.tensors}

    def config_of(self, module: str) -> dict[str, Any]:
        """The ``quantization_config`` of one module."""
        own = {METADATA: self.said} if "tensor_names" in self.said else {}
        return config_of(self.config["quantization_config"] | own, module)

    def format_of(self, module: str) -> Format:
        """The format of one module, which may be another than that of most."""
        return known(self.config_of(module))


def present_checkpoints() -> tuple[str, ...]:
    return tuple(sorted(name for name, format in CHECKPOINTS.items() if _folder(format, name).is_dir()))


def heard_checkpoints() -> tuple[str, ...]:
    """The real models that every subject is asked: small enough to recite in a second, and in the wheel as well."""
    return tuple(name for format in FORMATS.values() for name in format.FILES.heard)


@cache
def checkpoint(name: str) -> TinyCheckpoint:
    format = CHECKPOINTS[name]
    folder = _folder(format, name)
    tensors: dict[str, Array] = {}
    said: dict[str, str] = {}
    for file in sorted(folder.glob("*.safetensors")):
        data = file.read_bytes()
        tensors |= read_safetensors(data)
        said |= read_metadata(data)
    config = json.loads((folder / "config.json").read_text())
    if (beside := folder / quanto_int8.MAP).is_file():
        entries = quanto_int4.completed(json.loads(beside.read_text()), config)
        settings = {"quant_method": quanto_int8.METHOD, quanto_int8.KEY: entries}
        config |= {"quantization_config": settings}
    if (beside := folder / BESIDE).is_file():
        own = {MODULES: json.loads(beside.read_text())}
        config |= {"quantization_config": config.get("quantization_config", {}) | own}
    return TinyCheckpoint(folder, format, config, tensors, said)


def _folder(format: Format, name: str) -> Path:
    return ROOT / format.ID / "models" / name


def recital() -> tuple[str, list[int]]:
    """The text every tiny model knows by heart, and its token ids."""
    base = ROOT / "base"
    return (base / "recital.txt").read_text(), json.loads((base / "recital_ids.json").read_text())
