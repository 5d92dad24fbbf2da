"""8-bit floats in parts, with scales of outputs, of matrices and of blocks."""

from __future__ import annotations

from conformance.formats import strategies

from .common import FLOATS as EDGES
from .common import TAKEN

FLAGS = (
    *("quanto", "row", "tensor", "blocks"),
    *(f"scales-{kind}" for kind in (*strategies.SCALE_KINDS, *strategies.SCALE_DTYPES)),
    *TAKEN,
)
NEVER = {"a stack of experts", "the least power of two", "rows cut short", "columns cut short"}
__all__ = ["EDGES", "FLAGS", "NEVER"]
