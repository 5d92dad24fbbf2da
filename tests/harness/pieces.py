"""Work for Dask's workers, where they can import it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from conformance.subjects.resolve import ORACLE, resolve
from conformance.survey.asking import Row
from conformance.survey.listing import Repo


def deadly(repo: Repo) -> Row:
    """Ends its worker at the repo called ``x/bad``."""
    if repo.id == "x/bad":
        os._exit(70)
    return {"repo": repo.id, "revision": repo.revision, "outcome": "read"}


class _OneOff:
    """The reference, with one weight that is twice what it should be, and without one module."""

    name, framework, refusals = "one-off", "torch", (ValueError,)

    def info(self) -> dict[str, Any]:
        return {"version": "1", "formats": []}

    def load(self, checkpoint_dir: Path) -> Any:
        raise ValueError("only opened")

    def open(self, folder: Path) -> dict[str, Any]:
        sound = dict(resolve(ORACLE).open(folder))
        sound["model.layers.1.mlp.up_proj.weight"][3, 5] *= 2
        del sound["model.layers.0.mlp.up_proj.weight"]
        return sound


ONE_OFF = _OneOff()
