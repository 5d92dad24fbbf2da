"""Variants: the columns of the matrix, each something that a user of a checkpoint knows of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ..formats.registry import BY_SLUG, FORMATS
from ..run.record import Record

# Slug to title, the format with most real checkpoints first.
TITLES = {
    format.SLUG: format.TITLE for format in sorted(FORMATS.values(), key=lambda format: -len(format.FILES.checkpoints))
}
# What a row tests, and the claims of cases that belong to it.
ROWS = {"dense": ("dense",), "affine": ("affine",), "model": ("checkpoint", "logits")}
MEANING = {
    "dense": "decoded weights, equal bits",
    "affine": "MLX's packed form: equal codes and scales, biases as near as their dtype allows",
    "model": "whole checkpoints: weights by name, or a model that recites its text",
}
WORDS = ("pass", "inexact", "wrong", "unread", "crash", "refused")


@dataclass(frozen=True)
class Column:
    """A variant of one format; ``holds`` says of a record of that format whether it belongs to it."""

    title: str
    format: str
    holds: Callable[[Record], bool]

    @property
    def slug(self) -> str:
        return re.sub("[^a-z0-9_]+", "-", self.title.lower()).strip("-")


def _flagged(*flags: str) -> Callable[[Record], bool]:
    """Modules with one of these flags. A whole model has many modules, and columns of its own."""
    return lambda record: record.claim not in ROWS["model"] and any(flag in record.flags for flag in flags)


def _of_level(level: str) -> Callable[[Record], bool]:
    return lambda record: record.level == level


def unsound(record: Record) -> bool:
    """Scales that are not finite are under arithmetic, by a name of their own."""
    repacked = record.id.startswith("affine/refuses-")
    arithmetic = record.level == "arithmetic" and record.id.endswith("-not-finite")
    return record.level == "refusals" or arithmetic or repacked


_EITHER: dict[str, Callable[[Record], bool]] = {
    "bfloat16 scales": _flagged("scales-bfloat16"),
    "float32 scales": _flagged("scales-float32"),
    "real checkpoints": _flagged("real"),
    "refuses bad input": unsound,
    "checkpoint folders": _of_level("checkpoints"),
    "recitation": _of_level("generation"),
}
_ALL: dict[str, Callable[[Record], bool]] = {"all cases": lambda record: True}


def _of(slug: str) -> dict[str, Callable[[Record], bool]]:
    """Those of a format, its own before those of all; one of the latter that it gives no flags it has not."""
    own = BY_SLUG[slug].COLUMNS
    shared = {title: holds for title, holds in _EITHER.items() if title not in own}
    return _ALL | {title: _flagged(*flags) for title, flags in own.items() if flags} | shared


COLUMNS = tuple(Column(title, slug, holds) for slug in TITLES for title, holds in _of(slug).items())


def outcome(record: Record) -> str:
    """``pass``, ``inexact``, ``wrong``, ``unread`` (claimed, but refused), ``crash`` or ``refused``."""
    if record.inexact:
        return "inexact"
    if record.verdict == "fail":
        return "unread" if record.manner == "unread" else "wrong"
    return "crash" if record.verdict == "error" else record.verdict
