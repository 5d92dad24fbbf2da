"""The grid of torchao's MX and NVFP4."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from ...bits.array import FLOATS
from .. import grid as common
from ..covering import Apart, Options, rows
from ..draw import Draw
from ..fp8.grid import LEGAL as CODES
from ..module import Sample, Unmade, unmade
from ..nvfp4.grid import LEGAL, USUAL
from ..torchao_int8.packing import described
from .packing import FOURS, KINDS, MXFP8, entry, parts, stored

SMOKE = "mxfp4"
# Bytes of scales: of ordinary weights, of those below the normal ones of bfloat16 and of float16, and of those beyond.
RANGES = {"ordinary": (112, 124), "tiny": (0, 12), "small": (96, 112), "large": (128, 150), "huge": (240, 255)}
# Exponents of two of the scale of the matrix, where there is one.
WHOLES = {"ordinary": (-16, -8), "tiny": (-126, -118), "small": (-30, -22), "large": (2, 8), "huge": (100, 104)}
OPTIONS: Options = {
    "kind": tuple(KINDS),
    "swizzled": (True, False),
    "whole": (False, True),
    "dtype": FLOATS,
    "range": tuple(RANGES),
    "output": (None, *FLOATS),
    "bias": (None, "real"),
}
THREEFOLD = ("kind", "dtype", "output")
APART: Apart = (
    *(({"kind": kind, "whole": True}, "MX has no scale of the matrix") for kind in KINDS if kind != FOURS),
    *(({"kind": kind, "dtype": "float16"}, "torchao packs no MX of float16") for kind in KINDS if kind != FOURS),
)
# Parts of tiles, whole ones, and more than one each way.
_SHAPES = {**common.SHAPES, "tile": (128, 128), "tiles": (260, 288), "one-output": (1, 32), "odd-outputs": (37, 96)}
_LONG = ("7b-down_proj-g128", "7b-gate_proj-g32")
_SIZES = {kind: _LONG if kind == MXFP8 else (*_LONG, "moe-expert-g64") for kind in KINDS}


def grid() -> Iterator[Unmade]:
    for kind in KINDS:
        yield _sample(kind, kind)
        for range_, output in product(RANGES, (None, *FLOATS)):
            yield _sample(f"{kind}-{range_}-to-{output or 'its-own'}", kind, range=range_, output=output)
        for label, shape in _SHAPES.items():
            yield _sample(f"{kind}-shape-{label}", kind, shape=shape, whole=kind == FOURS)
        yield _sample(f"{kind}-shape-tiles-plain", kind, shape=_SHAPES["tiles"], swizzled=False)
        for bias in ("zero", "real"):
            yield _sample(f"{kind}-bias-{bias}", kind, bias=bias)
        for name, (shape, _) in common.REAL_SIZES.items():
            if name in _SIZES[kind]:
                yield _sample(f"{kind}-{name}", kind, shape=shape, real_size=True, whole=kind == FOURS)
    yield _sample("nvfp4-any-scale", FOURS, scales="any-finite", whole=True)
    for row in rows(OPTIONS, THREEFOLD, APART):
        said = {True: {"swizzled": "tiles", "whole": "whole"}, False: {"swizzled": "rows"}}
        words = [said[value].get(key) if isinstance(value, bool) else value for key, value in row.items()]
        shown = "-".join(
            str(word) for key, word in zip(row, words, strict=True) if word is not None and key != "output"
        )
        yield _sample(f"joined-{shown}" + (f"-to-{row['output']}" if row["output"] else ""), **row)


@unmade
def _sample(
    name: str, kind: str, *, swizzled: bool = True, whole: bool = False, dtype: str = "bfloat16", **options: Any
) -> Sample:
    draw, (out, in_features) = Draw(f"torchao_mx-{name}"), options.get("shape", (common.OUT, common.IN))
    codes = CODES[draw.below(len(CODES), out, in_features)] if kind == MXFP8 else draw.below(16, out, in_features)
    range_, number = options.get("range", "ordinary"), None
    shape = (out, in_features // KINDS[kind][1])
    if kind == FOURS:
        legal = LEGAL if options.get("scales") == "any-finite" else USUAL
        bytes_ = legal[draw.below(len(legal), *shape)]
        if whole:
            low, high = WHOLES[range_]
            bits = int(draw.below(high - low, 1)[0] + low + 127) << 23 | int(draw.below(1 << 23, 1)[0])
            number = float(np.uint32(bits).view(np.float32))
    else:
        low, high = RANGES[range_]
        bytes_ = draw.below(high - low, *shape) + low
    config = described(entry(kind, swizzled=swizzled, whole=whole, dtype=dtype))
    tensors = stored(config, codes, bytes_, number)
    return common.sample(name, draw, config, tensors, parts(config, tensors), options)
