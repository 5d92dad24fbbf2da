"""8-bit floats in blocks, channels and whole."""

from __future__ import annotations

from conformance.formats import strategies

from .common import FLOATS as EDGES
from .common import TAKEN

FLAGS = (
    *("blocks", "e8m0", "tensor", "channel", "modelopt", "ct-channel", "ct-block", "ct-group"),
    *(f"scales-{dtype}" for dtype in (*strategies.SCALE_DTYPES, "uint8", "float8_e8m0fnu")),
    *TAKEN,
)
NEVER = {"a stack of experts"}
__all__ = ["EDGES", "FLAGS", "NEVER"]
