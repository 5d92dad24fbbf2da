"""Temporary folders for converted checkpoints, which outlive neither their model nor, for long, a killed process."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from pathlib import Path

_PREFIX = "mlx-quant-load-"
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
        locked = False
        while not locked:
            self._folder = tempfile.TemporaryDirectory(prefix=_PREFIX)
            self._descriptor = os.open(self._folder.name, os.O_RDONLY)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            # Before it was locked, another process may have taken it for a leftover.
            locked = os.path.exists(self._folder.name)
            if not locked:
                self.cleanup()
        self.converted = Path(self._folder.name) / "model"

    def cleanup(self) -> None:
        self._folder.cleanup()
        os.close(self._descriptor)


def clear_leftovers(parent: Path) -> None:
    """Remove folders of killed processes: named as ours are, holding nothing but ours, and locked by nobody."""
    for found in parent.glob(f"{_PREFIX}*"):
        if not _NAME.fullmatch(found.name) or found.is_symlink():
            continue
        try:
            descriptor = os.open(found, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            continue  # somebody else's, or gone by now
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if all(entry.name.startswith(("model", ".model.")) for entry in found.iterdir()):
                shutil.rmtree(found)
        except OSError:
            continue
        finally:
            os.close(descriptor)
