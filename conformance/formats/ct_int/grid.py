"""The grid of ``int-quantized``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import FLOATS, Array
from .. import grid as common
from ..covering import Apart, Options, rows
from ..dialects import compressed_tensors as dialect
from ..draw import Draw
from ..module import Sample, Unmade, unmade
from ..parts import Integer
from .packing import FORMAT, FORMATS, pack

# In place of a group size: one scale for all.
TENSOR = "tensor"

SMOKE = "g-1-sym-bfloat16"

OPTIONS: Options = {
    "size": (32, 128, 16, -1, TENSOR),
    "sym": (False, True),
    "dtype": FLOATS,
    "form": FORMATS,
    "bits": (8, 4),
    "scales": ("ordinary", *common.SCALE_KINDS),
    "output": (None, *FLOATS),
    "bias": (None, "zero", "real"),
    "shape": ((common.OUT, common.IN), (40, common.IN)),
}
THREEFOLD = ("size", "sym", "dtype")
APART: Apart = ()


def grid() -> Iterator[Unmade]:
    for size in (32, 64, 128, -1):
        for sym in (False, True):
            for dtype in FLOATS:
                yield _sample(f"g{size}-{'sym' if sym else 'asym'}-{dtype}", size, sym=sym, dtype=dtype)
    for name, (shape, _) in common.REAL_SIZES.items():
        yield _sample(name, -1, sym=True, dtype="bfloat16", shape=shape, real_size=True)
    for name, dtype, options in common.variations():
        yield _sample(name, 32, dtype=dtype, **options)
    for sym in (False, True):
        kind = "sym" if sym else "asym"
        yield _sample(f"tensor-{kind}", -1, sym=sym, tensor=True)
        yield _sample(f"naive-{kind}", -1, sym=sym, form=FORMATS[1])
        yield _sample(f"4bit-{kind}", 32, sym=sym, bits=4)
        for size in (16, 256):
            yield _sample(f"g{size}-{kind}", size, sym=sym)
    for out, in_features in ((37, 67), (40, 36)):
        yield _sample(f"odd-{out}x{in_features}", -1, shape=(out, in_features))
    for row in rows(OPTIONS, THREEFOLD, APART):
        own = {key: value for key, value in row.items() if key != "size"}
        tensor = row["size"] == TENSOR
        yield _sample(common.combined(row), -1 if tensor else row["size"], tensor=tensor, **own)


@unmade
def _sample(
    name: str,
    size: int,
    *,
    sym: bool = False,
    dtype: str = "float16",
    form: str = FORMAT,
    bits: int = 8,
    tensor: bool = False,
    **options: Any,
) -> Sample:
    draw, (out, in_features) = Draw(f"ct_int-{name}"), options.get("shape", (common.OUT, common.IN))
    limit, groups = 1 << bits, 1 if size == -1 else in_features // size
    # Codes of fewer bits stand in the middle of a byte's range.
    least = 128 - limit // 2
    q, z = draw.below(limit, out, in_features) + least, draw.below(limit, groups, 1 if tensor else out) + least
    z = np.broadcast_to(np.full_like(z, 128) if sym else z, (groups, out))
    scales = draw.scales(dtype, options.get("scales", "ordinary"), groups, 1 if tensor else out)
    changes: dict[str, Any] = {"symmetric": sym} | ({"strategy": "tensor"} if tensor else {})
    wide = Array(scales.dtype, np.ascontiguousarray(np.broadcast_to(scales.bits, (groups, out))))
    tensors = pack(q, z, wide, symmetric=sym, tensor=tensor)
    g = np.arange(in_features) // (in_features if size == -1 else size)
    config = dialect.config(form, bits, size, **changes)
    return common.sample(name, draw, config, tensors, Integer.of(q, z, wide, g, 8), options)
