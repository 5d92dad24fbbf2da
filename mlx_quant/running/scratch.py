"""Temporary folders for converted checkpoints, which outlive neither their model nor, for long, a killed process."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from pathlib import Path

_PREFIX = "mlx-quant-load-"
_INNER = "converted"
_NAME = re.compile(re.escape(_PREFIX) + r"[a-z0-9_]{8}")


class Scratch:
    """A folder in ``TMPDIR`` that is locked while it is in use.

    A killed process leaves its folder, and gigabytes in it; the system drops the lock, by which the next process
    knows it for a leftover and removes it.

    Attributes:
        converted: path inside, not created yet, for the one checkpoint that the folder is for.
    """

    def __init__(self) -> None:
        clear_leftovers(Path(tempfile.gettempdir()))
        while not self._made():
            pass
        # One level down: a conversion locks the folder that its destination lies in.
        inner = Path(self._folder.name) / _INNER
        try:
            inner.mkdir()
        except BaseException:
            self.cleanup()
            raise
        self.converted = inner / "model"

    def _made(self) -> bool:
        """Whether the folder is there and locked: before it was locked, another process may have taken it away."""
        self._folder = tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True)
        self._descriptor = -1
        try:
            self._descriptor = os.open(self._folder.name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            if os.path.exists(self._folder.name):
                return True
        except FileNotFoundError:
            pass
        except BaseException:
            self.cleanup()
            raise
        self.cleanup()
        return False

    def cleanup(self) -> None:
        self._folder.cleanup()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def clear_leftovers(parent: Path) -> None:
    """Remove folders of killed processes: named as ours are, holding nothing but ours, and locked by nobody."""
    for found in parent.glob(f"{_PREFIX}*"):
        if not _NAME.fullmatch(found.name) or found.is_symlink():
            continue
        try:
            descriptor = os.open(found, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue  # somebody else's, or gone by now
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if all(entry.name == _INNER or entry.name.startswith(("model", ".model.")) for entry in found.iterdir()):
                shutil.rmtree(found)
        except OSError:
            continue
        finally:
            os.close(descriptor)
