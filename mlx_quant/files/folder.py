"""The files of a checkpoint, wherever they lie: names, JSON, safetensors headers, and paths that stay inside."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import mlx.core as mx
from safetensors import SafetensorError, safe_open

from ..errors import MalformedCheckpoint

# The safetensors dtypes that MLX reads as what they are; it would hand out float8 as plain bytes.
DTYPES = {
    "BOOL": mx.bool_,
    "U8": mx.uint8,
    "I8": mx.int8,
    "U16": mx.uint16,
    "I16": mx.int16,
    "U32": mx.uint32,
    "I32": mx.int32,
    "U64": mx.uint64,
    "I64": mx.int64,
    "F16": mx.float16,
    "BF16": mx.bfloat16,
    "F32": mx.float32,
}


@dataclass(frozen=True)
class TensorInfo:
    """What a safetensors header says of one tensor.

    Attributes:
        name: full name in the checkpoint.
        dtype: as safetensors spells it: ``"F16"``, ``"BF16"``, ``"I32"``, ...
        shape: as stored.
        file: name of the shard, relative to the checkpoint's folder.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: str

    @property
    def mlx_dtype(self) -> mx.Dtype:
        """KeyError for a dtype that MLX has not; an open Checkpoint holds none of those."""
        return DTYPES[self.dtype]

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.mlx_dtype.size


class Files(Protocol):
    """A checkpoint's files. Names are relative, with forward slashes; nothing outside is ever reached."""

    label: str
    repo_id: str | None
    names: list[str]

    @property
    def folder(self) -> Path:
        """Where the small files lie, and the weights once they are fetched."""

    def path(self, name: str) -> Path:
        """A readable local path; downloads the file if need be."""

    def header(self, name: str) -> dict[str, TensorInfo]:
        """The tensors of one safetensors file, without reading (or downloading) its data."""

    def fetch(self, names: Iterable[str]) -> None:
        """Make these files local, several at a time."""


class Folder:
    """A checkpoint in a local folder.

    Raises MalformedCheckpoint ``missing-file`` when there is no such folder.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.label = str(path)
        self.repo_id: str | None = None
        given = Path(path).expanduser()
        if not given.is_dir():
            raise MalformedCheckpoint("missing-file", "no such folder", where=self.label)
        self._folder = given.resolve()
        # A snapshot in the Hub's cache is a folder of links to ../../blobs; they may go as far as their own repo.
        cached = self._folder.parent.name == "snapshots" and (self._folder.parent.parent / "blobs").is_dir()
        self._boundary = self._folder.parent.parent if cached else self._folder
        self.names = sorted(
            found.relative_to(self._folder).as_posix()
            for pattern in ("*", "*/*")
            for found in self._folder.glob(pattern)
            if not found.is_dir() and not found.name.startswith(".")
        )

    @property
    def folder(self) -> Path:
        return self._folder

    def path(self, name: str) -> Path:
        found = self._folder / checked_name(name)
        real = found.resolve()
        if not real.is_relative_to(self._boundary):
            raise MalformedCheckpoint(
                "unsafe-path", "links out of the checkpoint's folder; put the file itself there", where=name
            )
        if not real.is_file():
            raise MalformedCheckpoint("missing-file", f"not found in {self.label}; download it again", where=name)
        return found

    def header(self, name: str) -> dict[str, TensorInfo]:
        return read_header(self.path(name), name)

    def fetch(self, names: Iterable[str]) -> None:
        for name in names:
            self.path(name)


def stamps(files: Files) -> dict[str, tuple[int, ...]]:
    """Device, inode, size and time of change of the weights and JSON in a local folder; the Hub's never change."""
    if not isinstance(files, Folder):
        return {}
    found: dict[str, tuple[int, ...]] = {}
    for name in files.names:
        if name.endswith((".safetensors", ".json")):
            with contextlib.suppress(OSError):
                told = os.stat(files.folder / name)
                found[name] = (told.st_dev, told.st_ino, told.st_size, told.st_mtime_ns)
    return found


def checked_name(name: str) -> str:
    """``name`` if it is a plain relative path; MalformedCheckpoint ``unsafe-path`` otherwise."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith(("/", "~")) or ".." in parts or "\\" in name or ":" in parts[0] or "\0" in name:
        raise MalformedCheckpoint(
            "unsafe-path", "leaves the checkpoint's folder; expected a plain file name", where=name
        )
    return name


def read_header(path: Path, name: str) -> dict[str, TensorInfo]:
    """Tensors of the safetensors file at ``path``; ``name`` is what errors and infos call it.

    Raises MalformedCheckpoint ``truncated-file`` where header and file size disagree.
    """
    try:
        with safe_open(path, framework="numpy") as shard:
            slices = {key: shard.get_slice(key) for key in shard.keys()}
            return {
                key: TensorInfo(key, part.get_dtype(), tuple(part.get_shape()), name) for key, part in slices.items()
            }
    except SafetensorError as error:
        raise MalformedCheckpoint(
            "truncated-file",
            f"not a whole safetensors file ({error}; {path.stat().st_size} bytes found); download it again",
            where=name,
        ) from error


def read_json(files: Files, name: str) -> dict[str, Any] | None:
    """The object in a JSON file, or None when there is no such file.

    Raises MalformedCheckpoint ``bad-file`` for anything but a JSON object.
    """
    if name not in files.names:
        return None
    try:
        value = json.loads(files.path(name).read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise MalformedCheckpoint("bad-file", f"not JSON ({error}); download it again", where=name) from error
    if not isinstance(value, dict):
        raise MalformedCheckpoint("bad-file", f"holds a JSON {type(value).__name__}, expected an object", where=name)
    return value
