"""Where every bit of a module of torchao's MX or NVFP4 lies, from the sentences that define it and nothing that packs.

Codes are in row order of [out, in], four bits or eight. Scales are bytes: in row order of [out, groups], or by tiles of
128 outputs and 4 groups. A tile has 512 bytes, and those before it are the tiles above it and the ones to its left. In
a tile, a line of 16 bytes has the scales of outputs 32 apart, four of each.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ..fp8.addresses import read_codes as read_eights
from ..layout import Layout
from ..module import Shape
from ..mxfp4.addresses import read_codes as read_fours
from ..torchao_int8.packing import described
from .packing import CODES, FOURS, MXFP4, MXFP8, SCALES, entry, stored

# What shapes are called: the kind, and whether scales are swizzled.
_KINDS = {f"{kind}-{label}": (kind, label == "tiles") for kind in (MXFP8, MXFP4, FOURS) for label in ("tiles", "rows")}
_ONE = {MXFP8: 127, MXFP4: 127, FOURS: 0x38}
SHAPES = tuple(
    Shape(f"torchao-{kind}", out, inputs, 16 if FOURS in kind else 32, bits=8 if MXFP8 in kind else 4, kind=kind)
    for kind, out, inputs in (
        # Parts of one tile, tiles side by side, one below the other, and both ways; then rows.
        ("mxfp8-tiles", 8, 32),
        ("mxfp8-tiles", 8, 160),
        ("mxfp8-tiles", 256, 64),
        ("mxfp8-rows", 17, 64),
        ("mxfp4-tiles", 32, 32),
        ("mxfp4-tiles", 4, 288),
        ("mxfp4-tiles", 192, 288),
        ("mxfp4-rows", 8, 96),
        ("nvfp4-tiles", 64, 16),
        ("nvfp4-tiles", 8, 96),
        ("nvfp4-tiles", 192, 144),
        ("nvfp4-rows", 1, 64),
    )
)


def code_places(shape: Shape) -> np.ndarray:
    bits = shape.bits
    return np.arange(shape.out * shape.in_features).reshape(shape.out, -1, 1) * bits + np.arange(bits)


def group_scales(shape: Shape) -> np.ndarray:
    if not _KINDS[shape.kind][1]:
        return np.arange(shape.out * shape.groups).reshape(shape.out, shape.groups)
    found = np.empty((shape.out, shape.groups), np.int64)
    across = (shape.groups + 3) // 4
    for output in range(shape.out):
        above, inside = divmod(output, 128)
        strip, line = divmod(inside, 32)
        for group in range(shape.groups):
            left, place = divmod(group, 4)
            found[output, group] = 512 * (above * across + left) + 16 * line + 4 * strip + place
    return found


def room(shape: Shape) -> int:
    """Groups that an output has room for: its share of the bytes of all tiles."""
    if not _KINDS[shape.kind][1]:
        return shape.groups
    return ((shape.out + 127) // 128) * ((shape.groups + 3) // 4) * 512 // shape.out


def constant(shape: Shape, code: int, zero: int) -> tuple[dict[str, Any], dict[str, Array]]:
    kind, tiles = _KINDS[shape.kind]
    config = described(entry(kind, swizzled=tiles, dtype="float32"))
    scales = np.full((shape.out, shape.groups), _ONE[kind])
    return config, stored(config, np.full((shape.out, shape.in_features), code), scales)


def read_codes(weights: np.ndarray, zero: int, bits: int) -> np.ndarray:
    return read_eights(weights, zero, bits) if bits == 8 else read_fours(weights, zero, bits)


def scales_of(bits: np.ndarray, like: Array) -> Array:
    one, step = (0x38, 8) if like.dtype == "float8_e4m3fn" else (127, 1)
    return Array(like.dtype, (one + step * bits).astype(np.uint8).reshape(like.shape))


LAYOUT = Layout(
    codes=CODES,
    scales=SCALES,
    zeros=None,
    map=None,
    code_places=code_places,
    group_scales=group_scales,
    read_codes=read_codes,
    one=lambda bits: (0x38 if bits == 8 else 2, 0),
    scales_of=scales_of,
    room=room,
)
