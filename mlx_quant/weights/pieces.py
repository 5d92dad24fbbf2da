"""How much of a matrix MLX's operations decode at once."""

from __future__ import annotations

import mlx.core as mx

# On a CPU float32 temporaries stay in cache so. On a GPU a kernel is long beside being started: an H200 takes up to a
# quarter less time than with pieces a quarter as large. A Mac shares its memory, and nobody has measured one.
ON_CPU, ON_GPU = 1 << 19, 1 << (26 if mx.cuda.is_available() else 24)


def pieces(size: int, *, smaller: int = 1) -> int:
    """How many rows, or blocks, of ``size`` weights make a piece: one at least. On a CPU ``smaller`` times fewer."""
    weights = ON_GPU if mx.default_device() == mx.gpu else ON_CPU // smaller
    return max(1, weights // size)
