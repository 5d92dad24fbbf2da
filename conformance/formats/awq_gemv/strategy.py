"""What Hypothesis draws AWQ gemv modules from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hypothesis import strategies as st

from ...bits.array import Array
from .. import strategies as common
from ..dialects.awq import padded
from ..module import Pack
from .packing import config


@st.composite
def modules(draw: st.DrawFn) -> Pack:
    """A module with its config in one of the spellings in use; words of zero points are drawn with their padding."""
    # One group of 96 inputs has no padding that anybody defines.
    module = common.module().filter(lambda found: found[2] != -1 or found[1] != 96)
    out, in_features, group_size, flags, scales, dtype = draw(module)
    room = padded(len(scales.bits), in_features if group_size == -1 else group_size)
    wide = np.zeros((out, room), scales.bits.dtype)
    wide[:, : len(scales.bits)] = scales.bits.T
    tensors = {
        "qweight": Array.of(draw(common.words((out, in_features // 8)))),
        "qzeros": Array.of(draw(common.words((out, room // 8)))),
        "scales": Array(dtype, wide),
    }
    spellings = (
        config(4, group_size),
        {"quant_method": "awq", "w_bit": 4, "q_group_size": group_size, "version": "GEMV"},
        {"w_bit": 4, "q_group_size": group_size, "version": "GEMV", "zero_point": True},
    )
    return draw(common.finished(draw(st.sampled_from(spellings)), tensors, flags, out))


def strategies() -> Mapping[str, st.SearchStrategy[Pack]]:
    return {"awq_gemv": modules()}
