"""Where every bit of ParoQuant's codes lies: as AWQ's, with inputs that are not turned, so that each code is seen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ...bits.array import Array
from ..awq_gemm import addresses as awq
from ..module import Shape
from .packing import config, pack

SHAPES = tuple(
    Shape("paroquant", *numbers)
    for numbers in (
        *((8, 32, 32), (32, 32, 32), (64, 64, 32), (64, 256, 32), (256, 32, 32), (24, 96, -1), (128, 128, 128)),
        *((40, 40, 8), (16, 72, 24), (136, 64, 64), (8, 512, 128), (32, 32, 8), (8, 40, -1)),
    )
)
# One for a weight of each code and zero point; pairs, angles and scales of inputs stay as they are.
LAYOUT = replace(awq.LAYOUT)


def constant(shape: Shape, code: int, zero: int) -> tuple[dict[str, Any], dict[str, Array]]:
    codes, zeros = np.full((shape.out, shape.in_features), code), np.full((shape.groups, shape.out), zero)
    scales = Array.of(np.ones((shape.groups, shape.out), np.float16))
    return config(shape.bits, shape.group_size), pack(codes, zeros, scales)
