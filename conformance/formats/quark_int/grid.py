"""The grid of Quark's integers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import FLOATS, Array
from .. import grid as common
from ..dialects import quark as dialect
from ..draw import Draw
from ..module import Sample, Unmade, unmade
from ..parts import Integer
from .packing import DTYPES, packed

SMOKE = "uint4-g128-bfloat16"
ORDERS = ("reorder", "order")


def grid() -> Iterator[Unmade]:
    for number, dtype in enumerate(DTYPES):
        for place, size in enumerate((32, 64, 128, -1)):
            for order in ORDERS if dtype.endswith("4") else ORDERS[:1]:
                kind = FLOATS[(number + place) % 3]
                name = f"{dtype}-g{size}-{kind}" + ("" if order == ORDERS[0] else f"-{order}")
                yield _sample(name, size, dtype=kind, type=dtype, order=order)
        if dtype != "uint2":  # of which Quark exports none
            yield _sample(f"{dtype}-tensor", -1, type=dtype, tensor=True, dtype="float32")
        yield _sample(f"{dtype}-sym", 32, type=dtype, symmetric=True)
        for size in (16, 256):
            yield _sample(f"{dtype}-g{size}", size, type=dtype)
        yield _sample(f"{dtype}-any-finite", 32, type=dtype, scales="any-finite")
    yield _sample("uint4-g128-bfloat16", 128, dtype="bfloat16")
    for name, (shape, size) in common.REAL_SIZES.items():
        yield _sample(name, size, dtype="bfloat16", shape=shape, real_size=True)
    for name, dtype, options in common.variations():
        yield _sample(name, 32, dtype=dtype, **options)
    for out, in_features in ((37, 67), (40, 36)):
        yield _sample(f"odd-{out}x{in_features}", -1, type="int8", shape=(out, in_features))
    yield _sample("no-whole-words", 20, type="uint4", shape=(40, 60))
    for out, in_features in ((37, 67), (40, 36)):
        yield _sample(f"int2-odd-{out}x{in_features}", -1, type="int2", shape=(out, in_features))
    yield _sample("uint2-no-whole-words", 20, type="uint2", shape=(36, 60))
    yield _sample("uint2-odd-outputs", -1, type="uint2", shape=(36, 52))


@unmade
def _sample(
    name: str,
    size: int,
    *,
    dtype: str = "float16",
    type: str = "uint4",
    order: str = "reorder",
    tensor: bool = False,
    symmetric: bool = False,
    **options: Any,
) -> Sample:
    draw, (out, in_features) = Draw(f"quark_int-{name}"), options.get("shape", (common.OUT, common.IN))
    bits = int(type[-1])
    limit, groups = 1 << bits, 1 if size == -1 else in_features // size
    q, z = draw.below(limit, out, in_features), draw.below(limit, groups, 1 if tensor else out)
    if tensor and type == "int4":
        z = np.maximum(z, limit // 2)  # of a negative one upstream's reader makes another number
    # Zero, in the numbers that are counted from the least one.
    z = np.broadcast_to(np.full_like(z, 0 if type[0] == "u" else limit // 2) if symmetric else z, (groups, out))
    scales = draw.scales(dtype, options.get("scales", "ordinary"), groups, 1 if tensor else out)
    wide = Array(scales.dtype, np.ascontiguousarray(np.broadcast_to(scales.bits, (groups, out))))
    strategy = "tensor" if tensor else "channel" if size == -1 else "group"
    config = dialect.config(dialect.weight(type, strategy, size, symmetric=symmetric), order)
    tensors = packed(config, q, z, wide)
    g = np.arange(in_features) // (in_features if size == -1 else size)
    return common.sample(name, draw, config, tensors, Integer.of(q, z, wide, g, bits), options)
