"""What the conformance suite found of each packing: without complete evidence, none is more than a candidate."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .protocol import Packing, Status

# One file a packing, written by ``mlx-quant-conformance run --format ID``.
FOLDER = Path(__file__).parents[1] / "evidence"


@functools.cache
def evidence_of(id: str, folder: Path = FOLDER) -> Mapping[str, Any] | None:
    """The evidence of one packing, or None: ``suite``, ``complete``, ``missing``, ``levels``, ``upstream``."""
    file = folder / f"{id}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def status_of(packing: Packing, folder: Path = FOLDER) -> Status:
    """As the packing declares it, but ``enabled`` only while its evidence is complete."""
    found = evidence_of(packing.ID, folder)
    return "candidate" if packing.STATUS == "enabled" and not (found and found["complete"]) else packing.STATUS
