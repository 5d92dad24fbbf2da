"""Install the oldest releases that pyproject.toml allows: ``python tests/project/lowest.py``, for ``tox -e lowest``."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
# Vectors were compared on one release of torch, and an older one would bring CUDA.
PINNED = {"torch"}


def oldest() -> Iterator[str]:
    project = PROJECT["project"]
    for text in [
        *project["dependencies"],
        *(text for own in project["optional-dependencies"].values() for text in own),
    ]:
        wanted = Requirement(text)
        if wanted.name not in PINNED and (wanted.marker is None or wanted.marker.evaluate()):
            (bound,) = wanted.specifier
            assert bound.operator in {">=", "=="}, text
            extras = f"[{','.join(sorted(wanted.extras))}]" if wanted.extras else ""
            yield f"{wanted.name}{extras}=={bound.version}"
    yield from (text for text in PROJECT["dependency-groups"]["harness"] if Requirement(text).name in PINNED)
    yield from (text for text in PROJECT["dependency-groups"]["tests"] if isinstance(text, str))


if __name__ == "__main__":
    sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", "--quiet", *oldest()]))
