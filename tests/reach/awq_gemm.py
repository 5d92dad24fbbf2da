"""AWQ, and how its configurations are spelt."""

from __future__ import annotations

from .common import INTEGERS, SQUARE, WORDS, Edges

FLAGS = INTEGERS
EDGES = WORDS
# At other widths than 4 bits a square would take other shapes than those that are drawn.
OF_ITSELF: Edges = {
    **SQUARE,
    "AutoAWQ's old spelling": lambda pack: "q_group_size" in pack.config,
    "no quant_method": lambda pack: "quant_method" not in pack.config,
}
