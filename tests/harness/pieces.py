"""Work for Dask's workers, where they can import it."""

from __future__ import annotations

import os

from conformance.survey.asking import Row
from conformance.survey.listing import Repo


def deadly(repo: Repo) -> Row:
    """Ends its worker at the repo called ``x/bad``."""
    if repo.id == "x/bad":
        os._exit(70)
    return {"repo": repo.id, "revision": repo.revision, "outcome": "read"}
