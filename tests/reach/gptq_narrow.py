"""GPTQ in other words: the maps of its groups."""

from __future__ import annotations

from .common import MAPS as FLAGS
from .common import WORDS as EDGES

__all__ = ["EDGES", "FLAGS"]
