"""Where every bit of a module of ModelOpt's INT4 lies, from the sentences that define it and nothing that packs."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ..layout import Layout
from ..module import Shape
from .packing import modelopt, pack

SHAPES = tuple(
    Shape("modelopt_int4", *n, kind="symmetric")
    for n in ((8, 32, 32), (32, 64, 32), (16, 128, 64), (40, 40, 8), (24, 96, -1), (2, 7, -1), (10, 33, 11))
)


def code_places(shape: Shape) -> np.ndarray:
    """Bit ``b`` of the code of input ``i`` of output ``o`` is bit ``b`` of one half of element ``i`` of row ``o / 2``
    of ``weight``: of the low half where ``o`` is even."""
    o, i, b = np.ogrid[: shape.out, : shape.in_features, :4]
    return (o // 2 * shape.in_features + i) * 8 + o % 2 * 4 + b


def group_scales(shape: Shape) -> np.ndarray:
    """Element ``g`` of row ``o`` of ``weight_scale``."""
    return np.arange(shape.out)[:, None] * shape.groups + np.arange(shape.groups)[None, :]


def signed(fields: np.ndarray, bits: int) -> np.ndarray:
    """Codes are signed, and counted from -8: the highest bit is the other one."""
    return fields ^ 8


def constant(shape: Shape, code: int, zero: int) -> tuple[dict[str, Any], dict[str, Array]]:
    scales = Array.of(np.ones((shape.groups, shape.out), np.float32))
    codes = np.full((shape.out, shape.in_features), code)
    return modelopt(shape.group_size), pack(codes, codes, scales)


LAYOUT = Layout(
    codes="weight",
    scales="weight_scale",
    zeros=None,
    map=None,
    code_places=code_places,
    group_scales=group_scales,
    stored_code=signed,
)
