"""4-bit floats under scales that are 8-bit floats: groups are whole."""

from __future__ import annotations

from .common import FLOATS as EDGES
from .common import TAKEN

FLAGS = (
    *("ct", "modelopt", "modelopt-w4a16", "modelopt-w4a8", "experts", "experts-of-their-own"),
    *(f"range-{kind}" for kind in ("ordinary", "tiny", "small", "huge", "one")),
    *TAKEN,
)
NEVER = {"the least power of two", "rows cut short", "columns cut short"}
__all__ = ["EDGES", "FLAGS", "NEVER"]
