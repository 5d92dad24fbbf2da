"""Where a fault is tried, and where not, because it cannot be or is another one's equal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

SIGNALS = ("SIGTERM", "SIGHUP", "SIGKILL")
# What each call may give on Linux, by its manual page.
POSSIBLE: Mapping[str, tuple[str, ...]] = {
    "open": ("ENOSPC", "EIO", "EACCES", "EINTR"),
    "read": ("EIO", "EINTR"),
    "write": ("ENOSPC", "EIO", "EINTR"),
    "fsync": ("ENOSPC", "EIO", "EINTR"),
    "truncate": ("EIO", "EINTR"),
    "close": ("ENOSPC", "EIO", "EINTR"),
    "flock": ("EINTR", "ENOSPC"),  # ENOLCK, which a program meets as it does these
    "stat": ("EIO", "EACCES"),
    "list": ("EIO", "EACCES"),
    "mkdir": ("ENOSPC", "EIO", "EACCES"),
    "rename": ("ENOSPC", "EIO", "EACCES"),
    "remove": ("EIO", "EACCES"),
    "mmap": ("EACCES",),
}
ERRORS = tuple(dict.fromkeys(error for errors in POSSIBLE.values() for error in errors))
Call = tuple[str, str]


class Point(NamedTuple):
    number: int
    call: Call
    fault: str


class Rules:
    """The faults of a run of system calls that are worth trying; ``skipped`` counts the others by rule."""

    def __init__(self, calls: list[Call], source: str) -> None:
        self.calls, self.source = calls, source
        self.skipped: Counter[str] = Counter()

    def points(self) -> Iterator[Point]:
        for number, call in enumerate(self.calls, 1):
            for fault in (*ERRORS, *SIGNALS):
                rule = self._rule(number, call, fault)
                if rule is None:
                    yield Point(number, call, fault)
                else:
                    self.skipped[rule] += 1

    def _rule(self, number: int, call: Call, fault: str) -> str | None:
        """Why this one is not tried, or None."""
        if fault in ERRORS and fault not in POSSIBLE[call[0]]:
            return "the call never gives it"
        if fault == "ENOSPC" and self._is_source(call):
            return "nothing is written there"
        if fault in ("SIGKILL", "SIGHUP") and number > 1 and self._is_source(self.calls[number - 2]):
            # A kill leaves nothing but the disk; SIGHUP has the handler of SIGTERM, which comes everywhere.
            return "the disk is as it was a call before"
        around = self.calls[number - 2 : number - 1] + self.calls[number : number + 1]
        if len(around) == 2 and around[0] == call == around[1]:
            return "amid equal calls on one file"
        return None

    def _is_source(self, call: Call) -> bool:
        return call[1] == self.source or call[1].startswith(self.source + "/")
