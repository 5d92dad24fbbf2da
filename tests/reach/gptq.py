"""GPTQ."""

from __future__ import annotations

from .common import MAPS as FLAGS
from .common import SQUARE as OF_ITSELF
from .common import WORDS as EDGES

__all__ = ["EDGES", "FLAGS", "OF_ITSELF"]
