"""A folder that appears whole or not at all, and the shards written into it."""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from queue import Empty, Queue
from threading import Event, Thread
from typing import Any, BinaryIO

import mlx.core as mx
import numpy as np

from ..errors import ConversionError
from ..files.folder import BYTES_OF_FLOATS, DTYPES
from ..models.architecture import Shapes
from ..weights.host import in_memory

# File system metadata, JSON and header bytes that the estimate of the weights leaves out.
_SLACK_BYTES = 16 << 20
_LONGEST_NAME = 255
# For another run to look around beside the same destination, and to remove what a killed one left.
_PATIENCE_SECONDS = 30.0
_LOOK_AGAIN_SECONDS = 0.5
# What may wait to be written beside one tensor: enough that decoding seldom waits, of small tensors.
_WAITING_BYTES = 64 << 20
_SPELLED = {dtype: name for name, dtype in DTYPES.items() if name not in BYTES_OF_FLOATS}


@contextmanager
def atomic_folder(destination: Path, *, overwrite: bool, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary folder beside ``destination`` that takes its place when the block ends without an error.

    After an error, or Ctrl-C, nothing is left. A killed process leaves ``.<name>.partial-*``, which the next call for
    the same destination removes. With ``overwrite`` the old folder stays until the new one is complete, and, where
    ``durable``, on the disk.

    Raises ConversionError ``destination-exists``, ``bad-target`` for a name that cannot be, ``destination-busy`` while
    another process writes there. OSError as the system raises it.
    """
    refuse_place(destination)
    destination = Path(os.path.realpath(destination))
    made = [folder for folder in destination.parents if not os.path.exists(folder)]
    partial: Path | None = None
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as held:
            with _alone(destination):
                clear_leftovers(destination)
                refuse_existing(destination, overwrite=overwrite)
                partial = _sibling(destination, "partial")
                partial.mkdir()
                held.enter_context(_locked(partial))
            yield partial
            if durable:
                _sync(partial)
            with _alone(destination):
                refuse_existing(destination, overwrite=overwrite)
                _swap_in(partial, destination)
            if durable:
                _flush(destination.parent)
    except BaseException:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)
        for folder in made:
            with suppress(OSError):
                folder.rmdir()
        raise


def refuse_place(destination: Path) -> None:
    """ConversionError ``bad-target`` for a destination that no folder can be renamed to."""
    text = os.fspath(destination)
    if "\0" in text:
        raise ConversionError("bad-target", "holds a null byte; choose another folder", where=text)
    if os.path.ismount(destination):
        raise ConversionError(
            "bad-target",
            "is the root of a file system, and nothing can take its place; choose a folder inside",
            where=text,
        )
    name = os.path.basename(os.path.realpath(destination))
    longest = _LONGEST_NAME - len(os.fsencode(_sibling(Path("x"), "replaced"))) + 1
    if len(os.fsencode(name)) > longest:
        raise ConversionError(
            "bad-target", f"its name is longer than {longest} bytes; choose a shorter one", where=text
        )


def refuse_existing(destination: Path, *, overwrite: bool) -> None:
    if os.path.lexists(destination) and not os.path.isdir(destination):
        raise ConversionError("destination-exists", "is no folder; give a folder", where=str(destination))
    if os.path.isdir(destination) and any(destination.iterdir()) and not overwrite:
        raise ConversionError(
            "destination-exists", "is not empty; choose another folder, or overwrite it", where=str(destination)
        )


def refuse_without_space(folder: Path, nbytes: int) -> None:
    """ConversionError ``no-space`` unless ``nbytes`` fit on the file system of ``folder`` or its nearest parent."""
    existing = next(path for path in (folder, *folder.parents) if os.path.exists(path))
    free = shutil.disk_usage(existing).free
    if free < nbytes + _SLACK_BYTES:
        raise ConversionError(
            "no-space",
            f"{(nbytes + _SLACK_BYTES) / 1e9:.2f} GB are needed and {free / 1e9:.2f} GB are free; "
            "free some, or write to another disk (TMPDIR decides for temporary checkpoints)",
            where=str(existing),
        )


def clear_leftovers(destination: Path) -> None:
    """Remove what killed runs left beside ``destination``, and undo an exchange that a kill interrupted.

    Links, files, and folders of other users are never ours, whatever they are called.
    """
    for found in _ours(destination, "partial"):
        with suppress(FileNotFoundError), _locked(found):
            shutil.rmtree(found)
    for found in _ours(destination, "replaced"):
        if os.path.lexists(destination):
            shutil.rmtree(found)
        else:
            os.replace(found, destination)


def _ours(destination: Path, purpose: str) -> list[Path]:
    name = re.compile(rf"\.{re.escape(destination.name)}\.{purpose}-[0-9a-f]{{8}}")
    with os.scandir(destination.parent) as entries:
        return [
            Path(entry.path)
            for entry in entries
            if name.fullmatch(entry.name)
            and entry.is_dir(follow_symlinks=False)
            and entry.stat(follow_symlinks=False).st_uid == os.geteuid()
        ]


class ShardWriter:
    """Writes tensors into safetensors shards of planned content, and the index at the end.

    A thread writes while the next tensors are decoded, and touches nothing of MLX's, which would give it a stream. What
    waits for it is one tensor, or 64 MB of smaller ones. As a context it ends the thread, whatever happened.

    Args:
        folder: where to.
        plan: for each shard the tensors it holds, in order.
    """

    def __init__(self, folder: Path, plan: Sequence[Shapes]) -> None:
        self._folder, self._plan = folder, plan
        self._awaited: Iterator[str] = iter(())
        self._next: str | None = None
        self._pending: dict[str, mx.array] = {}
        self._map: dict[str, str] = {}
        self._name = ""
        self._jobs: Queue[tuple[str, Callable[[], object]] | None] = Queue()
        # Of ``total_size``, which it was given, what the thread is done with: each is counted by one thread alone.
        self._done = 0
        self._room = Event()
        self._failed: BaseException | None = None
        self._file: BinaryIO | None = None
        self._opened = ExitStack()
        self._thread = Thread(target=self._work, name="mlx-quant-writer", daemon=True)
        self.total_size = 0
        self.files: list[str] = []

    def __enter__(self) -> ShardWriter:
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._failed = self._failed or error
        self._jobs.put(None)
        self._thread.join()
        with suppress(OSError):
            self._opened.close()

    def add(self, tensors: Mapping[str, mx.array]) -> None:
        """Take evaluated tensors. Raises what went wrong with earlier ones."""
        self._pending |= tensors
        if self._next is None:
            self._begin()
        while self._next is not None and self._next in self._pending:
            self._put(self._next, self._pending.pop(self._next))
            self._next = next(self._awaited, None)
        if self._next is None:
            self._end()

    def finish(self, total_parameters: int) -> None:
        """Wait for all of them, and write the index."""
        self._jobs.join()
        self._raise()
        metadata = {"total_size": self.total_size, "total_parameters": total_parameters}
        index = {"metadata": metadata, "weight_map": dict(sorted(self._map.items()))}
        write_json(self._folder / "model.safetensors.index.json", index)

    def _begin(self) -> None:
        number, count = len(self.files) + 1, len(self._plan)
        name = f"model-{number:05d}-of-{count:05d}.safetensors" if count > 1 else "model.safetensors"
        shapes = self._plan[len(self.files)]
        self._awaited = iter(shapes)
        self._next = next(self._awaited, None)
        self._file = self._opened.enter_context(open(self._folder / name, "wb"))  # noqa: SIM115
        self._file.write(_header(shapes))
        self._map |= dict.fromkeys(shapes, name)
        self._name = name

    def _put(self, name: str, array: mx.array) -> None:
        self._raise()
        assert self._file is not None
        assert (array.shape, array.dtype) == self._plan[len(self.files)][name], f"{name} is not what was planned"
        octets, file = np.ascontiguousarray(in_memory(array)).reshape(-1).view(np.uint8), self._file

        def write() -> None:
            file.write(octets.data)
            self._done += octets.nbytes
            self._room.set()

        self._wait_for_room(octets.nbytes)
        self.total_size += octets.nbytes
        self._jobs.put((self._name, write))

    def _wait_for_room(self, nbytes: int) -> None:
        while self.total_size - self._done > max(nbytes, _WAITING_BYTES):
            self._raise()
            self._room.wait(_LOOK_AGAIN_SECONDS)
            self._room.clear()

    def _end(self) -> None:
        """End a shard, without waiting for it."""
        assert self._file is not None
        self._jobs.put((self._name, self._file.close))
        self.files.append(self._name)

    def _raise(self) -> None:
        if self._failed is not None:
            raise self._failed

    def _work(self) -> None:
        while (job := self._next_job()) is not None:
            name, work = job
            try:
                # After an error the rest is only taken away, so that nobody waits.
                if self._failed is None:
                    work()
            except BaseException as error:
                if isinstance(error, OSError) and error.filename is None:
                    error.filename = name
                self._failed = error
            del job, work
            self._jobs.task_done()

    def _next_job(self) -> tuple[str, Callable[[], object]] | None:
        """Looks again and again: a signal that arrives while a thread is being woken can leave it asleep for ever."""
        while True:
            with suppress(Empty):
                return self._jobs.get(timeout=_LOOK_AGAIN_SECONDS)


def _header(shapes: Shapes) -> bytes:
    """The beginning of a safetensors file: a length, and JSON padded so that data are aligned."""
    told: dict[str, Any] = {"__metadata__": {"format": "mlx"}}
    end = 0
    for name, (shape, dtype) in shapes.items():
        begin, end = end, end + math.prod(shape) * dtype.size
        told[name] = {"dtype": _SPELLED[dtype], "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 16 + 8)
    return len(text).to_bytes(8, "little") + text


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _swap_in(partial: Path, destination: Path) -> None:
    if not os.path.isdir(destination) or not any(destination.iterdir()):
        os.replace(partial, destination)
        return
    old = _sibling(destination, "replaced")
    try:
        os.replace(destination, old)
        os.replace(partial, destination)
    finally:
        # An error or a signal comes before, between or after the two; what cannot be removed now, the next run removes.
        if not os.path.lexists(destination):
            os.replace(old, destination)
        shutil.rmtree(old, ignore_errors=True)


def _sync(folder: Path) -> None:
    """Bring every file of a folder to the disk, and then the names."""
    for root, _, files in os.walk(folder, topdown=False):
        for name in files:
            _flush(Path(root, name))
        _flush(Path(root))


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if hasattr(fcntl, "F_FULLFSYNC"):  # where fsync stops at the drive's own cache
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
        else:
            os.fsync(descriptor)
    except OSError as error:
        # Some file systems cannot do this for folders, and keep renames in order without.
        if not (path.is_dir() and error.errno in (errno.EINVAL, errno.ENOTSUP)):
            raise
    finally:
        os.close(descriptor)


@contextmanager
def _alone(destination: Path) -> Iterator[None]:
    """Hold the parent's lock, for the moments in which several runs would see each other half done."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(_locked(destination.parent))
                break
            except ConversionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        yield


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which the system drops when its process dies, however it dies."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConversionError(
                "destination-busy", "another process is writing there; wait for it", where=str(folder)
            ) from None
        yield
    finally:
        os.close(descriptor)


def _sibling(destination: Path, purpose: str) -> Path:
    return destination.with_name(f".{destination.name}.{purpose}-{secrets.token_hex(4)}")
