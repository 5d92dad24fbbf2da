"""Regular expressions from a checkpoint's files, matched in bounded time."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import regex

from ..errors import MalformedCheckpoint

_LONGEST = 20_000
_SECONDS = 5.0
# What Python reads as these characters and the engine with a clock as something else: fuzzy counts, POSIX classes.
_READ_OTHERWISE = re.compile(r"(?<!\\)\{(?!\d+(?:,\d*)?\}|,\d+\})|\[\[:")

# Letters, digits and dots repeat nothing, so there is nothing to backtrack to. Rules for thousands of modules by their
# names are honest, and the engine with a clock takes ten times as long for each.
_NAME = re.compile(r"[\w.-]*")


class Patterns:
    """Patterns of one checkpoint. Together they may take five seconds of matching, by far more than honest ones need.

    They mean what Python's ``re`` makes of them, whose own engine cannot be stopped once it backtracks.
    """

    def __init__(self) -> None:
        self._left = _SECONDS

    def compiled(self, pattern: str, place: str) -> Pattern:
        """Raises MalformedCheckpoint ``bad-config-value`` for what is no regular expression, or one too long."""
        if len(pattern) > _LONGEST:
            raise _bad(f"{len(pattern)} characters long, at most {_LONGEST} are read", place)
        if found := _READ_OTHERWISE.search(pattern):
            raise _bad(f"{found[0]!r} is no repeat count; write a backslash before it", place)
        try:
            plain = re.compile(pattern)
            if _NAME.fullmatch(pattern):
                return Pattern(plain, place, None)
            return Pattern(regex.compile(pattern, regex.VERSION0), place, self)
        except (re.error, regex.error, RecursionError, OverflowError, MemoryError) as error:
            raise _bad(f"not a regular expression: {error}", place) from error

    def within_time(self, attempt: Callable[..., Any], text: str, place: str) -> Any:
        """What ``attempt`` finds, or None."""
        started = time.monotonic()
        try:
            return attempt(text, timeout=max(self._left, 0.001))
        except TimeoutError as error:
            raise _bad(f"takes more than {_SECONDS:g} s to match; write it without nested repeats", place) from error
        finally:
            self._left -= time.monotonic() - started


class Pattern:
    """One of them, compiled."""

    def __init__(self, engine: Any, place: str, clock: Patterns | None) -> None:
        self._engine, self._place, self._clock = engine, place, clock

    def match(self, text: str) -> bool:
        """Whether it matches from the start of ``text``; ``bad-config-value`` when time is up."""
        return self._tried(self._engine.match, text) is not None

    def search(self, text: str) -> bool:
        """Whether it matches anywhere in ``text``; as :meth:`match`."""
        return self._tried(self._engine.search, text) is not None

    def groups(self, text: str) -> list[str]:
        """Names of the groups that take part in the first match in ``text``, none where there is none; as above."""
        found = self._tried(self._engine.search, text)
        return [] if found is None else [name for name, part in found.groupdict().items() if part is not None]

    def _tried(self, attempt: Callable[..., Any], text: str) -> Any:
        if self._clock is None:
            return attempt(text)
        return self._clock.within_time(attempt, text, self._place)


def _bad(text: str, place: str) -> MalformedCheckpoint:
    return MalformedCheckpoint("bad-config-value", text, where=place)
