"""The grid of AWQ gemm."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from ...bits.array import FLOATS
from .. import grid as common
from ..covering import Apart, Options, rows
from ..divided import Divided
from ..draw import Draw
from ..module import Sample, Unmade, unmade
from ..parts import Integer
from . import packing

SMOKE = "g128-float16"

OPTIONS: Options = {
    "size": (32, 128, 64, 16, -1),
    "dtype": FLOATS,
    "scales": ("ordinary", *common.SCALE_KINDS),
    "output": (None, *FLOATS),
    "bias": (None, "zero", "real"),
    "shape": ((common.OUT, common.IN), (40, common.IN)),
    "spelling": ("plain", "old"),
}
THREEFOLD = ("size", "dtype", "shape")
APART: Apart = ()


def grid() -> Iterator[Unmade]:
    for size, dtype in product((32, 64, 128, -1), FLOATS):
        yield _sample(f"g{size}-{dtype}", size, dtype)
    legacy: tuple[tuple[str, int, dict[str, Any]], ...] = (
        ("legacy", 32, {"w_bit": 4, "q_group_size": 32, "version": "GEMM", "zero_point": True}),
        ("legacy-with-method", 64, {"quant_method": "awq", "w_bit": 4, "q_group_size": 64, "version": "GEMM"}),
    )
    for name, size, config in legacy:
        yield _sample(f"config-{name}", size, "float16", config=config)
    for name, dtype, options in common.variations():
        yield _sample(name, 32, dtype, **options)
    for name, (shape, size) in common.REAL_SIZES.items():
        yield _sample(name, size, "float16", shape=shape, real_size=True)
    yield _sample("7b-down_proj-g32", 32, "float16", shape=(8, 11008), real_size=True)
    for row in rows(OPTIONS, THREEFOLD, APART):
        size, old = row["size"], {"w_bit": 4, "q_group_size": row["size"], "version": "GEMM", "zero_point": True}
        own = {key: value for key, value in row.items() if key not in ("size", "dtype", "spelling")}
        own |= {"config": old} if row["spelling"] == "old" else {}
        yield _sample(common.combined(row), size, row["dtype"], **own)
    for bits in packing.WIDTHS[1:]:
        for number, size in enumerate((32, 64, 128, -1)):
            yield _sample(f"{bits}bit-g{size}", size, FLOATS[(bits + number) % 3], bits=bits)
        yield _sample(f"{bits}bit-any-finite", 32, "float16", bits=bits, scales="any-finite")
    # A dtype is asked for, always: there is no affine form to ask for instead.
    for (size, dtype), output in product(((32, "float16"), (-1, "bfloat16"), (128, "float32")), FLOATS):
        yield _sample(f"scaled-activation-g{size}-to-{output}", size, dtype, divisors=dtype, output=output)
    for kind in common.SCALE_KINDS:
        yield _sample(f"scaled-activation-{kind}", 32, "float16", scales=kind, divisors="float16", output="float32")
    for name, shape in common.SHAPES.items():
        yield _sample(f"scaled-activation-{name}", -1, "float16", shape=shape, divisors="float16", output="float16")
    for kind in ("float16", "bfloat16", "float32"):
        yield _sample(f"scaled-activation-{kind}-divisors", 64, "float16", divisors=kind, output="bfloat16")
    for bias in ("zero", "real"):
        yield _sample(f"scaled-activation-bias-{bias}", 32, "float16", bias=bias, divisors="float16", output="float16")
    size, shape = 64, (768, 1408)
    yield _sample("moe-expert-scaled-activation", size, "float16", shape=shape, divisors="float16", output="float16",
                  real_size=True)  # fmt: skip


@unmade
def _sample(name: str, size: int, dtype: str, **options: Any) -> Sample:
    draw, (out, in_features) = Draw(f"awq-{name}"), options.get("shape", (common.OUT, common.IN))
    groups = 1 if size == -1 else in_features // size
    bits = options.get("bits", 4)
    q, z = draw.below(1 << bits, out, in_features), draw.below(1 << bits, groups, out)
    scales = draw.scales(dtype, options.get("scales", "ordinary"), groups, out)
    g = np.arange(in_features) // (in_features if size == -1 else size)
    config = options.get("config", packing.config(bits, size))
    matrix = Integer.of(q, z, scales, g, bits)
    if (kind := options.get("divisors")) is None:
        return common.sample(name, draw, config, packing.pack(q, z, scales, bits=bits), matrix, options)
    own = draw.scales(kind, "ordinary", in_features)
    tensors = packing.pack(q, z, scales, bits=bits, divisors=own)
    return common.sample(name, draw, config, tensors, Divided(matrix, own.float64()), options)
