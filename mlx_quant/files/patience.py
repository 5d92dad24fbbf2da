"""How a Hub is asked that may say "later": what it says is waited for, by all threads of a process together."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import TypeVar, cast

from huggingface_hub import errors

Result = TypeVar("Result")

# What the library's HTTP client raises; which client that is has changed twice.
HTTP_ERROR = cast(type[Exception], errors.HfHubHTTPError.__bases__[0])
LATER = 429
_PASSING = frozenset({408, LATER, 500, 502, 503, 504})
# The Hub counts requests in windows of five minutes, and says how much of one is left.
_LONGEST_PAUSE = 600.0
_LONGEST_GUESS = 60.0
_SLICE = 2.0
_LEFT = re.compile(r"\bt=([0-9]{1,6})\b")


class Gate:
    """Closed while the Hub wants to be left alone. Threads share one, as they share an address and a token."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = 0.0

    def close(self, seconds: float) -> None:
        with self._lock:
            self._until = max(self._until, time.monotonic() + seconds)

    def wait(self, alive: Callable[[], None]) -> None:
        """Until it is open, calling ``alive`` now and then."""
        while (left := self._until - time.monotonic()) > 0:
            alive()
            time.sleep(min(left, _SLICE))


_GATE = Gate()


def patiently(
    question: Callable[[], Result],
    *,
    alive: Callable[[], None] = lambda: None,
    attempts: int = 8,
    first: float = 1.0,
    gate: Gate = _GATE,
) -> Result:
    """The answer to ``question``, asked again where the Hub, or the way to it, fails in a manner that may pass.

    Args:
        alive: called before each attempt and while it waits.
        attempts: how often it is asked. A pause is as long as the Hub says (at most ten minutes), else it doubles
            from ``first`` seconds and is spread at random.
        gate: what is closed when the Hub says 429.

    Raises: what the last attempt raised, and at once what asking again would not change.
    """
    for attempt in range(attempts):
        gate.wait(alive)
        alive()
        try:
            return question()
        except (HTTP_ERROR, OSError) as error:
            if not passing(error) or attempt + 1 == attempts:
                raise
            said = _said(error)
            pause = min(first * 2**attempt, _LONGEST_GUESS) * random.uniform(0.5, 1.0) if said is None else said
            closed = gate if status_of(error) == LATER else Gate()
            closed.close(pause)
            closed.wait(alive)
    raise ValueError("a question is asked at least once")


def passing(error: Exception) -> bool:
    """Whether it may be gone the next time: a busy or limiting Hub, or no connection; no refusal is."""
    status = status_of(error)
    return isinstance(error, (HTTP_ERROR, ConnectionError, TimeoutError)) if status is None else status in _PASSING


def status_of(error: Exception) -> int | None:
    """The status of the answer that raised ``error``; None where there was no answer."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _said(error: Exception) -> float | None:
    """Seconds that an answer asks to be left alone for; one more, since they are rounded down."""
    headers: Mapping[str, str] = getattr(getattr(error, "response", None), "headers", None) or {}
    told = headers.get("retry-after", "")
    if not told.isdecimal():
        # ``"api";r=0;t=55`` of draft-ietf-httpapi-ratelimit-headers, which the Hub sends with every answer.
        found = _LEFT.search(headers.get("ratelimit", "")) if status_of(error) == LATER else None
        told = found[1] if found else ""
    return min(float(told[:9]) + (told != "0"), _LONGEST_PAUSE) if told else None
