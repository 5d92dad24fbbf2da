"""Who wrote a checkpoint's config: dialects in which several packings occur, so that they belong to none.

Each gives a module a config of its own, in the same dialect, which says all that is true of that module. A dialect of
one packing alone is in that packing's room.
"""

from __future__ import annotations

from typing import Any, Protocol

from ..parts import Config
from . import autoround, compressed_tensors, deepseek, quark


class Dialect(Protocol):
    """One dialect. ``NAME`` is the flag of its cases, and what a loader that reads it names among its formats."""

    NAME: str

    def reads(self, config: Config) -> bool:
        """Whether the config of a checkpoint is written in it."""

    def config_of(self, config: Config, module: str) -> dict[str, Any]:
        """The config of one module of a checkpoint, by its name."""


DIALECTS: tuple[Dialect, ...] = (autoround, compressed_tensors, deepseek, quark)
NAMES = frozenset(dialect.NAME for dialect in DIALECTS)


def spoken(config: Config) -> frozenset[str]:
    """Names of the dialects in which a config is written: flags of every case that has it."""
    return frozenset(dialect.NAME for dialect in DIALECTS if dialect.reads(config))
