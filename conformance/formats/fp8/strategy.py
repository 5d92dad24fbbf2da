"""What Hypothesis draws FP8 modules from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ...bits.array import Array
from .. import strategies as common
from ..module import Pack
from .grid import LEGAL
from .packing import blocks, compressed, grid, modelopt, pack

KINDS = (*3 * ("blocks",), *2 * ("e8m0",), "tensor", "channel", "modelopt", "ct-channel", "ct-block", "ct-group")


@st.composite
def modules(draw: st.DrawFn) -> Pack:
    """A module of a few blocks each way, of which the last ones are cut short more often than not."""
    kind = draw(st.sampled_from(KINDS))
    block = draw(st.sampled_from((1, 3, 8, 16, 32))), draw(st.sampled_from((4, 8, 16, 32)))
    counts = draw(st.sampled_from(((2, 3), (3, 2), (4, 4), (1, 3), (3, 1), (1, 1))))
    out, in_features = (n * size - draw(st.integers(0, size - 1)) for n, size in zip(counts, block, strict=True))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    codes = LEGAL[rng.integers(0, len(LEGAL), (out, in_features))]
    block = (1, block[1]) if kind == "ct-group" else block
    row = (1, in_features)
    whole = {"tensor": (out, in_features), "channel": row, "modelopt": row, "ct-channel": row}.get(kind, block)
    shape = grid(whole, out, in_features)
    flags = {kind}
    if kind == "e8m0":
        dtype = draw(st.sampled_from(("float8_e8m0fnu", "uint8")))
        ends = np.array([0, 1, 127, 253, 254])
        bytes_ = np.where(rng.random(shape) < 0.2, rng.choice(ends, shape), rng.integers(0, 255, shape))
        scales = Array(dtype, bytes_.astype(np.uint8))
    else:
        dtype = "float32" if kind == "modelopt" else draw(st.sampled_from(common.SCALE_DTYPES))
        scales = draw(common.scales(shape, dtype, draw(st.sampled_from(common.SCALE_KINDS))))
    if kind == "modelopt":
        # A scale that the result's dtype has not becomes infinite, and infinity times zero is NaN of any bits.
        scales = Array.of(np.clip(scales.float64(), -(2.0**15), 2.0**15).astype(np.float32))
    flags.add(f"scales-{dtype}")
    tensors = pack(codes, codes, scales)
    config = blocks(block if kind in ("blocks", "e8m0") else None)
    if kind == "modelopt":
        config = modelopt("FP8_PER_CHANNEL_PER_TOKEN")
        tensors = {"weight": tensors["weight"], "weight_scale": Array(dtype, scales.bits.reshape(out))}
    if kind.startswith("ct-"):
        strategy = kind.removeprefix("ct-")
        sizes: dict[str, Any] = {"block": {"block_structure": list(block)}, "group": {"group_size": block[1]}}
        config = compressed("float-quantized", strategy, **sizes.get(strategy, {}))
        tensors = {"weight": tensors["weight"], "weight_scale": scales}
    bias = draw(st.sampled_from(common.BIASES))
    if bias != "none":
        tensors = tensors | {"bias": draw(common.scales((out,), "bfloat16", "zero" if bias == "zero" else "ordinary"))}
    output = draw(st.sampled_from((None, None, *common.SCALE_DTYPES)))
    return Pack(config, tensors, frozenset(flags | {f"bias-{bias}", f"dtype-{output}"}), output)


def strategies() -> Mapping[str, st.SearchStrategy[Pack]]:
    return {"fp8": modules()}
