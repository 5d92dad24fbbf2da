"""The files of a checkpoint, wherever they lie: names, JSON, safetensors headers, and paths that stay inside."""

from __future__ import annotations

import contextlib
import math
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, Protocol

import mlx.core as mx
from safetensors import SafetensorError, safe_open

from ..errors import MalformedCheckpoint
from . import documents

# The safetensors dtypes that MLX reads, and as what. It has no float8: those are their bytes, which only a packing may
# take, and there is no reading a file with a float of 4 bits, or with E5M2.
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
    "F8_E4M3": mx.uint8,
    "F8_E8M0": mx.uint8,
}
BYTES_OF_FLOATS = ("F8_E4M3", "F8_E8M0")
# Floats that weights may be of, by torch's names, which configurations use.
FLOATS = {"float16": mx.float16, "bfloat16": mx.bfloat16, "float32": mx.float32}


_MOST_FILES = 100_000
# What the Hub's cache calls a snapshot, and a blob: digests of git's and SHA-256.
_COMMIT = re.compile(r"[0-9a-f]{40}")
_DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_MOST_AXES = 8


@dataclass(frozen=True)
class TensorInfo:
    """What a safetensors header says of one tensor.

    Attributes:
        name: full name in the checkpoint.
        dtype: as safetensors spells it: ``"F16"``, ``"BF16"``, ``"I32"``, ...
        shape: as stored.
        file: name of the shard, relative to the checkpoint's folder.
        data: the bytes of a tensor that describes others, where they were read with the headers.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: str
    data: bytes | None = None

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


class Header(dict[str, TensorInfo]):
    """The tensors of one safetensors file by name; ``said`` is its ``__metadata__``, names to texts."""

    said: Mapping[str, str] = MappingProxyType({})


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

    def header(self, name: str) -> Header:
        """The tensors of one safetensors file, without reading (or downloading) its data."""

    def fetch(self, names: Iterable[str]) -> None:
        """Make these files local, several at a time."""


class Folder:
    """A checkpoint in a local folder.

    Args:
        path: the folder.
        cache: the Hub's cache, where a snapshot is a folder of links to ``../../blobs`` of its own repo: those may be
            followed, no others. In a copy of a cache, blobs must be named by a digest besides.

    Raises MalformedCheckpoint ``missing-file`` when there is no such folder, ``unreadable-file``, ``too-large``.
    """

    def __init__(self, path: str | os.PathLike[str], *, cache: Path | None = None) -> None:
        self.label = str(path)
        self.repo_id: str | None = None
        given = Path(path).expanduser()
        # A name too long, or with a null byte, is the name of nothing.
        if not os.path.isdir(given):
            raise MalformedCheckpoint("missing-file", "no such folder", where=self.label)
        self._folder = given.resolve()
        own = _blobs(self._folder, cache)
        self._blobs, self._by_digest = own or _copied_blobs(self._folder), own is None
        with readable(self.label):
            self.names = sorted(self._listed())

    def _listed(self) -> Iterator[str]:
        """Files here and one folder down, hidden ones left out."""
        found = 0
        for entry in _entries(self._folder):
            for each in _entries(entry.path) if entry.is_dir(follow_symlinks=False) else (entry,):
                if each.is_dir():
                    continue
                found += 1
                if found > _MOST_FILES:
                    raise MalformedCheckpoint(
                        "too-large", f"more than {_MOST_FILES} files; give the folder of one model", where=self.label
                    )
                yield Path(each.path).relative_to(self._folder).as_posix()

    @property
    def folder(self) -> Path:
        return self._folder

    def path(self, name: str) -> Path:
        found = self._folder / checked_name(name)
        with readable(name):
            real = Path(os.path.realpath(found))
        if not real.is_relative_to(self._folder) and not self._is_blob(real):
            raise MalformedCheckpoint(
                "unsafe-path", "links out of the checkpoint's folder; put the file itself there", where=name
            )
        if not os.path.isfile(real):
            raise MalformedCheckpoint("missing-file", f"not found in {self.label}; download it again", where=name)
        return found

    def _is_blob(self, real: Path) -> bool:
        return real.parent == self._blobs and not (self._by_digest and not _DIGEST.fullmatch(real.name))

    def header(self, name: str) -> Header:
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


def _entries(folder: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        return [entry for entry in found if not entry.name.startswith(".")]


def _blobs(folder: Path, cache: Path | None) -> Path | None:
    """Where the links of a snapshot in ``cache`` lead; None for a folder that only has the shape of one."""
    repo = folder.parent.parent
    if cache is None or folder.parent.name != "snapshots" or repo.parent != Path(os.path.realpath(cache)):
        return None
    return Path(os.path.realpath(repo / "blobs"))


def _copied_blobs(folder: Path) -> Path | None:
    """The same of a cache that was copied, or that another program keeps: its shape alone proves nothing.

    So it must be whole, from ``models--`` to a commit, and links may only lead to files that are named by a digest, as
    no file is that somebody would want to keep to himself.
    """
    repo, blobs = folder.parent.parent, folder.parent.parent / "blobs"
    shaped = folder.parent.name == "snapshots" and repo.name.startswith("models--") and _COMMIT.fullmatch(folder.name)
    return blobs if shaped and blobs.is_dir() and not blobs.is_symlink() else None


def checked_name(name: str) -> str:
    """``name`` if it is a plain relative path; MalformedCheckpoint ``unsafe-path`` otherwise."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith(("/", "~")) or ".." in parts or "\\" in name or ":" in parts[0] or "\0" in name:
        raise MalformedCheckpoint(
            "unsafe-path", "leaves the checkpoint's folder; expected a plain file name", where=name
        )
    return name


def read_header(path: Path, name: str) -> Header:
    """Tensors of the safetensors file at ``path``; ``name`` is what errors and infos call it.

    Raises MalformedCheckpoint ``truncated-file`` where header and file size disagree.
    """
    try:
        with readable(name), safe_open(path, framework="numpy") as shard:
            slices = {key: shard.get_slice(key) for key in shard.keys()}
            found = Header(
                (key, TensorInfo(key, part.get_dtype(), tuple(part.get_shape()), name)) for key, part in slices.items()
            )
            found.said = texts(shard.metadata())
    except SafetensorError as error:
        raise MalformedCheckpoint(
            "truncated-file",
            f"not a whole safetensors file ({error}; {path.stat().st_size} bytes found); download it again",
            where=name,
        ) from error
    refuse_sizes(found, name)
    return found


def texts(said: object) -> dict[str, str]:
    """What of a ``__metadata__`` is as it should be: texts by names, in their order, because safetensors keeps none."""
    found = said if isinstance(said, Mapping) else {}
    return dict(sorted((key, text) for key, text in found.items() if isinstance(key, str) and isinstance(text, str)))


def read_data(path: Path, infos: Iterable[TensorInfo]) -> dict[str, TensorInfo]:
    """Tensors of the safetensors file at ``path``, with their bytes; by name."""
    with readable(path.name), safe_open(path, framework="numpy") as shard:
        return {info.name: replace(info, data=shard.get_tensor(info.name).tobytes()) for info in infos}


def refuse_sizes(tensors: Mapping[str, TensorInfo], name: str) -> None:
    """MalformedCheckpoint ``bad-shape`` for axes that MLX cannot count, and sizes that no file has."""
    for info in tensors.values():
        if len(info.shape) > _MOST_AXES or any(not 0 <= size < 2**31 for size in info.shape) or info.size >= 2**40:
            raise MalformedCheckpoint(
                "bad-shape",
                f"shape {list(info.shape)}: expected at most {_MOST_AXES} axes below 2^31 and 2^40 values",
                where=f"{name}: {info.name}",
            )


def read_json(files: Files, name: str) -> dict[str, Any] | None:
    """The object in a JSON file, or None when there is no such file.

    Raises MalformedCheckpoint as :func:`documents.parse` and :func:`read_bytes`.
    """
    if name not in files.names:
        return None
    return documents.parse(read_bytes(files.path(name), name, documents.limit_of(name)), name)


def read_bytes(path: Path, name: str, limit: int) -> bytes:
    """The whole of a regular file.

    Raises MalformedCheckpoint ``too-large`` for more than ``limit`` bytes, ``missing-file`` for a pipe,
    ``unreadable-file`` where the system refuses.
    """
    with readable(name):
        # A pipe in place of the file would be waited for without end.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise MalformedCheckpoint("missing-file", "is no regular file; put the file itself there", where=name)
            data = file.read(limit + 1)
    if len(data) > limit:
        raise MalformedCheckpoint("too-large", f"more than {limit} bytes; remove what does not belong", where=name)
    return data


@contextlib.contextmanager
def readable(name: str) -> Iterator[None]:
    """MalformedCheckpoint ``unreadable-file`` for what the system, or MLX, says of a file that cannot be read."""
    try:
        yield
    except OSError as error:
        raise MalformedCheckpoint(
            "unreadable-file",
            f"cannot be read ({error.strerror or error}); check its permissions and the disk, then try again",
            where=name,
        ) from error
