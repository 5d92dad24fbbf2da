"""What a loader does besides loading, seen from outside: files it opens elsewhere, answers it takes, what it leaves."""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
import sys
import termios
from pathlib import Path
from types import TracebackType

_ACCESS, _MODIFY, _OPEN, _CREATE, _DELETE, _IS_FOLDER = 0x1, 0x2, 0x20, 0x100, 0x200, 0x40000000
_ANSWERS = b"y\n" * 20


class Watch:
    """A folder whose files nobody has a reason to open, watched by the kernel: Python, Rust and C++ alike. Linux."""

    def __init__(self, folder: Path) -> None:
        library = ctypes.CDLL(None, use_errno=True)
        self._events = library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        mask = _ACCESS | _MODIFY | _OPEN | _CREATE | _DELETE
        if self._events < 0 or library.inotify_add_watch(self._events, os.fsencode(folder), mask) < 0:
            raise OSError(ctypes.get_errno(), "no inotify here", str(folder))

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        os.close(self._events)

    def touched(self) -> bool:
        """Whether a file in it was opened, read, made or removed since the last call."""
        found = False
        while True:
            try:
                data = os.read(self._events, 1 << 16)
            except BlockingIOError:
                return found
            while data:
                mask, length = struct.unpack_from("=4xI4xI", data)
                found = found or not mask & _IS_FOLDER
                data = data[16 + length :]


class Obliging:
    """A standard input that says yes twenty times, as whoever pipes a prompt may do without knowing."""

    def __enter__(self) -> Obliging:
        theirs, ours = os.pipe()
        os.write(ours, _ANSWERS)
        os.close(ours)
        self._before, self._input = os.dup(0), sys.stdin
        os.dup2(theirs, 0)
        os.close(theirs)
        sys.stdin = open(0, closefd=False)
        return self

    @property
    def asked(self) -> bool:
        """Whether anything was read."""
        waiting = struct.unpack("i", fcntl.ioctl(0, termios.FIONREAD, b"\0" * 4))[0]
        return bool(waiting < len(_ANSWERS))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        sys.stdin = self._input
        os.dup2(self._before, 0)
        os.close(self._before)


def listed(*folders: Path) -> set[tuple[str, int]]:
    """Every file and folder below, and how long it is."""
    return {
        (str(path), 0 if path.is_dir() else path.lstat().st_size) for folder in folders for path in folder.rglob("*")
    }


def memory() -> int:
    """Bytes of address space of this process."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
