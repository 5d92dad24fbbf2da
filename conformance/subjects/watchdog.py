"""A limit to how long a question may take, for thousands of questions and one thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Watchdog:
    """Calls ``bite`` of a question that is not over in time. Its thread starts with the first and ends by ``stop``."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._due, self._asleep_until = float("inf"), float("inf")
        self._bite: Callable[[], None] | None = None
        self._stopped = False

    @contextmanager
    def over(self, bite: Callable[[], None], seconds: float) -> Iterator[None]:
        """Call ``bite`` from another thread if what is within takes longer than that."""
        with self._changed:
            self._due, self._bite = time.monotonic() + seconds, bite
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
                self._thread.start()
            # Mostly it sleeps for an earlier question still, and need not be told.
            elif self._due < self._asleep_until:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._due, self._bite = float("inf"), None

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while not self._stopped:
                left = self._due - time.monotonic()
                if left <= 0 and self._bite is not None:
                    self._bite()
                    self._due, self._bite = float("inf"), None
                    continue
                self._asleep_until = self._due
                self._changed.wait(None if left == float("inf") else min(left, threading.TIMEOUT_MAX))
