"""A scale and a bias a group, as MLX stores them."""

from __future__ import annotations

from .common import INTEGERS as FLAGS
from .common import OFFSETS as EDGES

__all__ = ["EDGES", "FLAGS"]
