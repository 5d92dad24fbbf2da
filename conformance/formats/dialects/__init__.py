"""Who wrote a checkpoint's config: dialects in which several packings occur, so that they belong to none.

Each gives a module a config of its own, in the same dialect, which says all that is true of that module. A dialect of
one packing alone is in that packing's room.
"""

from __future__ import annotations

from typing import Any, Protocol

from ..parts import Config


class Dialect(Protocol):
    def reads(self, config: Config) -> bool:
        """Whether the config of a checkpoint is written in it."""

    def config_of(self, config: Config, module: str) -> dict[str, Any]:
        """The config of one module of a checkpoint, by its name."""


DIALECTS: tuple[Dialect, ...] = ()
