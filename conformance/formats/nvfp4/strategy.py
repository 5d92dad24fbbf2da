"""What Hypothesis draws NVFP4 modules from: raw bytes, of which all are legal but scales that are NaN."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hypothesis import strategies as st

from ...bits.array import Array
from .. import strategies as common
from ..module import Pack
from .grid import CONFIGS, LEGAL, RANGES, USUAL
from .packing import WIDTH, named

KINDS = ("ct", "ct", "modelopt", "modelopt", "modelopt-w4a16", "modelopt-w4a8", "experts", "experts-of-their-own")


@st.composite
def modules(draw: st.DrawFn) -> Pack:
    kind = draw(st.sampled_from(KINDS))
    experts = draw(st.integers(1, 5))
    stack = (experts,) if kind.startswith("experts") else ()
    rows, groups = (*stack, draw(st.integers(1, 40))), draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    legal = draw(st.sampled_from((USUAL, LEGAL)))
    bytes_ = legal[rng.integers(0, len(legal), (*rows, groups))]
    packed = rng.integers(0, 256, (*rows, groups * WIDTH)).astype(np.uint8)
    range_ = draw(st.sampled_from((*RANGES, "one")))
    count = experts if kind == "experts-of-their-own" else 1
    low, high = RANGES.get(range_, (0, 1))
    bits = rng.integers(low + 127, high + 127, count) << 23 | rng.integers(0, 1 << 23, count)
    number = np.ones(count, np.float32) if range_ == "one" else bits.astype(np.uint32).view(np.float32)
    config = dict(CONFIGS["modelopt" if kind.startswith("experts") else kind])
    if kind == "ct":
        number = (1 / number.astype(np.float64)).astype(np.float32)
    codes = np.stack([packed & 15, packed >> 4], axis=-1).reshape(*rows, -1)
    tensors = named(config, codes, bytes_, number)
    flags = {kind, f"range-{range_}"}
    bias = draw(st.sampled_from(common.BIASES))
    if bias != "none":
        made: Array = draw(common.scales(rows[-1:], "bfloat16", "zero" if bias == "zero" else "ordinary"))
        tensors |= {"bias": made}
    output = draw(st.sampled_from((None, None, *common.SCALE_DTYPES)))
    return Pack(config, tensors, frozenset(flags | {f"bias-{bias}", f"dtype-{output}"}), output)


def strategies() -> Mapping[str, st.SearchStrategy[Pack]]:
    return {"nvfp4": modules()}
