"""What Hypothesis draws ``int-quantized`` modules from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hypothesis import strategies as st

from ...bits.array import Array
from .. import strategies as common
from ..dialects import compressed_tensors as dialect
from ..module import Pack
from .packing import FORMATS


@st.composite
def modules(draw: st.DrawFn) -> Pack:
    """A module of either name, with zero points or without; every byte is a code."""
    out, in_features, size, flags, scales, _ = draw(common.module())
    sym = draw(st.integers(0, 3)) == 0
    codes = draw(common.words((out, in_features // 4)))
    tensors = {
        "weight": Array.of(np.ascontiguousarray(codes).view(np.int8)),
        "weight_scale": Array(scales.dtype, np.ascontiguousarray(scales.bits.T)),
    }
    if not sym:
        words = draw(common.words((out, -(-scales.shape[0] // 4))))
        tensors["weight_zero_point"] = Array.of(words.view(np.int8)[:, : scales.shape[0]].copy())
    config = dialect.config(draw(st.sampled_from(FORMATS)), 8, size, symmetric=sym)
    return draw(common.finished(config, tensors, flags, out, "weight_scale"))


def strategies() -> Mapping[str, st.SearchStrategy[Pack]]:
    return {"ct_int": modules()}
