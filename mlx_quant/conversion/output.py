"""A folder that appears whole or not at all, and the shards written into it."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlx.core as mx

from ..errors import ConversionError

# File system metadata, JSON and header bytes that the estimate of the weights leaves out.
_SLACK_BYTES = 16 << 20


@contextmanager
def atomic_folder(destination: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield a temporary folder beside ``destination`` that takes its place when the block ends without an error.

    After an error, or Ctrl-C, nothing is left. A killed process leaves ``.<name>.partial-*``, which the next call for
    the same destination removes. With ``overwrite`` the old folder stays until the new one is complete.

    Raises ConversionError ``destination-exists``, or ``destination-busy`` while another process writes there.
    """
    destination = Path(os.path.realpath(destination))
    made = [folder for folder in destination.parents if not folder.exists()]
    destination.parent.mkdir(parents=True, exist_ok=True)
    partial: Path | None = None
    try:
        clear_leftovers(destination)
        refuse_existing(destination, overwrite=overwrite)
        partial = _sibling(destination, "partial")
        partial.mkdir()
        with _locked(partial):
            yield partial
            _swap_in(partial, destination)
    except BaseException:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)
        for folder in made:
            if folder.exists() and not any(folder.iterdir()):
                folder.rmdir()
        raise


def refuse_existing(destination: Path, *, overwrite: bool) -> None:
    if destination.exists() and not destination.is_dir():
        raise ConversionError("destination-exists", "is a file; give a folder", where=str(destination))
    if destination.exists() and any(destination.iterdir()) and not overwrite:
        raise ConversionError(
            "destination-exists", "is not empty; choose another folder, or overwrite it", where=str(destination)
        )


def refuse_without_space(folder: Path, nbytes: int) -> None:
    """ConversionError ``no-space`` unless ``nbytes`` fit on the file system of ``folder`` or its nearest parent."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < nbytes + _SLACK_BYTES:
        raise ConversionError(
            "no-space",
            f"{(nbytes + _SLACK_BYTES) / 1e9:.2f} GB are needed and {free / 1e9:.2f} GB are free; "
            "free some, or write to another disk (TMPDIR decides for temporary checkpoints)",
            where=str(existing),
        )


def clear_leftovers(destination: Path) -> None:
    """Remove what killed runs left beside ``destination``, and undo an exchange that a kill interrupted."""
    for found in destination.parent.glob(f".{_escaped(destination.name)}.partial-*"):
        try:
            with _locked(found):
                shutil.rmtree(found)
        except FileNotFoundError:
            continue
    for found in destination.parent.glob(f".{_escaped(destination.name)}.replaced-*"):
        if destination.exists():
            shutil.rmtree(found)
        else:
            os.replace(found, destination)


class ShardWriter:
    """Writes tensors into safetensors shards of planned content, and the index at the end.

    Args:
        folder: where to.
        plan: for each shard the names it holds, in the order in which :meth:`add` will bring them.
    """

    def __init__(self, folder: Path, plan: Sequence[Sequence[str]]) -> None:
        self._folder, self._plan = folder, [set(names) for names in plan]
        self._pending: dict[str, mx.array] = {}
        self._map: dict[str, str] = {}
        self.total_size = 0
        self.files: list[str] = []

    def add(self, tensors: Mapping[str, mx.array]) -> None:
        """Take evaluated tensors; a shard is written as soon as it is complete."""
        self._pending |= tensors
        if self._pending.keys() >= self._plan[len(self.files)]:
            self._write()

    def finish(self, total_parameters: int) -> None:
        metadata = {"total_size": self.total_size, "total_parameters": total_parameters}
        index = {"metadata": metadata, "weight_map": dict(sorted(self._map.items()))}
        write_json(self._folder / "model.safetensors.index.json", index)

    def _write(self) -> None:
        number, count = len(self.files) + 1, len(self._plan)
        name = f"model-{number:05d}-of-{count:05d}.safetensors" if count > 1 else "model.safetensors"
        mx.save_safetensors(str(self._folder / name), self._pending, metadata={"format": "mlx"})
        self.total_size += sum(array.nbytes for array in self._pending.values())
        self._map |= dict.fromkeys(self._pending, name)
        self.files.append(name)
        self._pending = {}
        mx.clear_cache()


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _swap_in(partial: Path, destination: Path) -> None:
    if not destination.exists() or not any(destination.iterdir()):
        os.replace(partial, destination)
        return
    old = _sibling(destination, "replaced")
    os.replace(destination, old)
    os.replace(partial, destination)
    shutil.rmtree(old)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which the system drops when its process dies, however it dies."""
    descriptor = os.open(folder, os.O_RDONLY)
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


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
