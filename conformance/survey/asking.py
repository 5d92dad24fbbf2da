"""One repo asked after, wherever a worker runs: a row of plain values comes of it, whatever the repo is."""

from __future__ import annotations

import os
import re
import threading
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..bits.array import Array
from ..bits.frameworks import from_framework
from ..bits.safetensors_file import blank
from ..formats.dialects import spoken
from ..formats.registry import config_of, format_of
from ..subjects.resolve import resolve
from .listing import Repo

Row = dict[str, Any]

READ, REFUSED, ERROR = "read", "refused", "error"
# What may be otherwise the next time, so that the next run asks again.
PASSING = frozenset({"rate-limited", "unreachable", "worker-died"})
_LONGEST = 1000
# A worker that computes for so long without asking the Hub for anything never ends.
_HANGS_AFTER = 180.0
_EVALUATING = threading.Lock()


def ask(subject: str, repo: Repo, lone: bool = False) -> Row:
    """The row of one repo: ``outcome`` is ``read``, ``refused`` (by the subject, with its code) or ``error``.

    Args:
        subject: the name of one that has ``survey``.
        lone: this process is there for surveys alone, and may end itself if a repo keeps it busy for ever.
    """
    begun = time.monotonic()
    row: Row = {"repo": repo.id, "revision": repo.revision}
    with _Watch(lone) as alive:
        reader = resolve(subject)
        try:
            for facts in reader.survey(repo.id, repo.revision, alive=alive):
                row |= facts
            row["kinds"] = _kinds(row.get("kinds", ()), reader.framework)
            row["outcome"] = READ
        except reader.refusals as error:
            where = getattr(error, "where", None)
            row |= {
                "outcome": REFUSED,
                "code": getattr(error, "code", type(error).__name__),
                "where": None if where is None else _text(where),
                "message": _text(getattr(error, "message", error)),
            }
        except Exception as error:
            row |= {"outcome": ERROR, "code": _code(error), "message": _text(f"{type(error).__name__}: {error}")}
    if row["outcome"] != READ:
        row.pop("kinds", None)
    return row | {"seconds": round(time.monotonic() - begun, 3)}


def lost(repo: Repo, message: str) -> Row:
    """The row of a repo at which worker after worker ended."""
    return {"repo": repo.id, "revision": repo.revision, "outcome": ERROR, "code": "worker-died", "message": message}


class _Watch:
    """``with _Watch(True) as alive``: the process ends when ``alive`` is not called for too long."""

    def __init__(self, armed: bool) -> None:
        self._armed, self._last, self._done = armed, time.monotonic(), threading.Event()

    def __enter__(self) -> Any:
        if self._armed:
            threading.Thread(target=self._look, daemon=True).start()
        return self._alive

    def __exit__(self, *_: object) -> None:
        self._done.set()

    def _alive(self) -> None:
        self._last = time.monotonic()

    def _look(self) -> None:
        while not self._done.wait(_HANGS_AFTER / 10):
            if time.monotonic() - self._last > _HANGS_AFTER:
                os._exit(70)


def _kinds(found: Iterable[Row], framework: str) -> list[Row]:
    """Modules by what the suite would call them, with their number; shapes make no difference to that."""
    counted: Counter[tuple[str | None, frozenset[str]]] = Counter()
    for kind in found:
        counted[_kind(kind, framework)] += kind["count"]
    return [
        {"format": format, "flags": sorted(flags), "modules": count} for (format, flags), count in counted.most_common()
    ]


def _kind(kind: Row, framework: str) -> tuple[str | None, frozenset[str]]:
    """The format and flags of modules that are alike, as cases of the suite have them; none where it has no words."""
    try:
        config = config_of(kind["config"], kind["module"])
        format = format_of(config)
        with _EVALUATING:
            tensors = {leaf: _array(found, framework) for leaf, found in kind["tensors"].items()}
        assert format is not None
        return format.SLUG, spoken(config) | format.flags(config, tensors) | {format.SLUG}
    except Exception:
        # A config may say what the subject takes and the suite never heard of.
        return None, frozenset()


def _array(found: Row, framework: str) -> Array:
    empty = blank(found["dtype"], tuple(found["shape"]))
    if found["values"] is None:
        return empty
    return Array(empty.dtype, np.asarray(from_framework(found["values"], framework).bits, empty.bits.dtype))


def _code(error: Exception) -> str:
    """A stable word for what went wrong between here and the Hub, or here."""
    from huggingface_hub import errors

    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    for kind, code in (
        (errors.GatedRepoError, "gated"),
        (errors.DisabledRepoError, "disabled"),
        (errors.RepositoryNotFoundError, "no-such-repo"),
        (errors.RevisionNotFoundError, "no-such-revision"),
        (errors.EntryNotFoundError, "no-such-file"),
        (errors.HFValidationError, "no-name-of-a-repo"),
    ):
        if isinstance(error, kind):
            return code
    if status == 429:
        return "rate-limited"
    if status in (401, 403):
        return "no-access"
    http_error = errors.HfHubHTTPError.__bases__[0]
    if isinstance(error, (http_error, ConnectionError, TimeoutError)):
        return "unreachable" if status is None or status == 408 or status >= 500 else "hub-error"
    return "fault"


def _text(found: object) -> str:
    """One line for a terminal and a table, without what a link to a file is signed with."""
    text = re.sub(r"(https?://[^\s?]*)\?\S*", r"\1?...", " ".join(str(found)[: 4 * _LONGEST].split()))
    text = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} [...]"
