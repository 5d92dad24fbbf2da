"""A place of its own for whatever a loader leaves behind: temporary files, the home, and the current directory."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Caches of compilers and of the Hub belong to a home; nothing else does.
EXPECTED = (".cache",)


@contextmanager
def surrounded(parent: Path) -> Iterator[None]:
    """Until it ends, all three are folders of ``parent``, which are made where they are not there."""
    tmp, home, here = folders = [parent / name for name in ("tmp", "home", "here")]
    for folder in folders:
        folder.mkdir(exist_ok=True)
    with placed(tmp, home, here):
        yield


@contextmanager
def placed(tmp: Path, home: Path, here: Path) -> Iterator[None]:
    """Until it ends, temporary files, the home and the current directory are these."""
    tempdir, directory, path = tempfile.tempdir, os.getcwd(), list(sys.path)
    # torch's compiler keeps its cache among the temporary files unless it is told otherwise.
    own = {"TMPDIR": str(tmp), "HOME": str(home), "TORCHINDUCTOR_CACHE_DIR": str(home / ".cache/torchinductor")}
    variables = {name: os.environ.get(name) for name in own}
    tempfile.tempdir = str(tmp)
    os.environ |= own
    # What is still to be imported lies where it lay.
    sys.path[:] = [directory if entry == "" else entry for entry in path]
    os.chdir(here)
    try:
        yield
    finally:
        os.chdir(directory)
        sys.path[:] = path
        tempfile.tempdir = tempdir
        for name, value in variables.items():
            os.environ.pop(name, None)
            os.environ |= {} if value is None else {name: value}


def left(parent: Path) -> list[str]:
    """What lies in them."""
    found = [file for name in ("tmp", "home", "here") for file in sorted((parent / name).iterdir())]
    return [file.relative_to(parent).as_posix() for file in found if file.name not in EXPECTED]
