"""Small floats under scales that are small floats: groups are whole, and scales in tiles and in rows."""

from __future__ import annotations

from .common import FLOATS as EDGES
from .common import TAKEN

FLAGS = (
    *("mxfp8", "mxfp4", "nvfp4", "tiles", "rows", "whole"),
    *(f"range-{kind}" for kind in ("ordinary", "tiny", "small", "large", "huge")),
    *(f"is-{dtype}" for dtype in ("float16", "bfloat16", "float32")),
    *TAKEN,
)
NEVER = {"a stack of experts", "rows cut short", "columns cut short"}
__all__ = ["EDGES", "FLAGS", "NEVER"]
