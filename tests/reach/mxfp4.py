"""4-bit floats under powers of two: groups are whole."""

from __future__ import annotations

from .common import FLOATS as EDGES
from .common import TAKEN

FLAGS = (
    *("experts", "gpt-oss", "ct", "modelopt", "modelopt-w4a8", "scales-uint8", "scales-float8_e8m0fnu"),
    *TAKEN,
)
NEVER = {"negative scales", "scales of zero", "rows cut short", "columns cut short"}
__all__ = ["EDGES", "FLAGS", "NEVER"]
