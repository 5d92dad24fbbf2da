"""What Hypothesis draws 4-bit modules of bitsandbytes from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hypothesis import strategies as st

from ...bits.array import Array
from .. import strategies as common
from ..dialects import bitsandbytes as dialect
from ..module import Pack
from .grid import STORAGE
from .packing import STEPS, VALUES, pack


@st.composite
def modules(draw: st.DrawFn) -> Pack:
    """A module of any small shape; blocks end where rows do by chance alone."""
    kind, block = draw(st.sampled_from(tuple(VALUES))), draw(st.sampled_from((32, 64, 128, 512)))
    out, in_features = draw(st.integers(1, 40)), draw(st.integers(1, 80))
    storage = draw(st.sampled_from((*3 * ("uint8",), *STORAGE[1:])))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    # A single row of storage means another thing, and elements must be whole.
    size = {"uint8": 1, "int8": 1, "float16": 2, "bfloat16": 2, "float32": 4}[storage]
    while (out * in_features + 1) // 2 % size or (out * in_features + 1) // 2 < 2 * size:
        out += 1
    codes = rng.integers(0, 16, (out, in_features))
    blocks, double = -(-codes.size // block), draw(st.booleans())
    dtype = draw(st.sampled_from(common.SCALE_DTYPES))
    flags = {kind, f"stored-{storage}", f"is-{dtype}"}
    if double:
        own = rng.integers(0, 1 << 11, -(-blocks // 256)) * 2.0**-14
        nested = STEPS, own, float(np.float32(draw(st.sampled_from((0.0, 0.0371234, -0.5)))))
        scales = Array.of(rng.integers(0, 256, blocks).astype(np.uint8))
        tensors = pack(codes, codes, scales, kind=kind, block=block, dtype=dtype, storage=storage, nested=nested)
        flags.add("double")
    else:
        of = draw(st.sampled_from(("float32", "float32", "float16", "bfloat16")))
        scales = draw(common.scales((blocks,), of, draw(st.sampled_from(common.SCALE_KINDS))))
        tensors = pack(codes, codes, scales, kind=kind, block=block, dtype=dtype, storage=storage)
        flags.add(f"scales-{of}")
    bias = draw(st.sampled_from(common.BIASES))
    if bias != "none":
        tensors = tensors | {"bias": draw(common.scales((out,), "bfloat16", "zero" if bias == "zero" else "ordinary"))}
    output = draw(st.sampled_from((None, None, *common.SCALE_DTYPES)))
    return Pack(dialect.config(kind), tensors, frozenset(flags | {f"bias-{bias}", f"dtype-{output}"}), output)


def strategies() -> Mapping[str, st.SearchStrategy[Pack]]:
    return {"bnb_4bit": modules()}
