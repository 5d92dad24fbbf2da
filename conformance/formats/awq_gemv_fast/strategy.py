"""What Hypothesis draws AWQ gemv_fast modules from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ...bits.array import Array
from .. import strategies as common
from ..dialects.awq import padded
from ..module import Pack
from .packing import BLOCK, config, llm_awq, offsets_of


@st.composite
def modules(draw: st.DrawFn) -> Pack:
    """A module with its config in one of the spellings in use; the offsets are any finite numbers."""
    out, in_features, group_size, flags, scales, dtype = draw(
        common.module().filter(lambda found: not found[1] % BLOCK)
    )
    groups = len(scales.bits)
    offsets = draw(common.scales((groups, out), dtype, draw(st.sampled_from(common.SCALE_KINDS))))
    spellings: tuple[dict[str, Any], ...] = (
        config(4, group_size),
        llm_awq(group_size),
        {"quant_method": "awq", "w_bit": 4, "q_group_size": group_size, "version": "GEMV_FAST"},
        {"w_bit": 4, "q_group_size": group_size, "version": "GEMVFast", "zero_point": True},
    )
    settings = draw(st.sampled_from(spellings))
    room = padded(groups, in_features if group_size == -1 else group_size)
    words = draw(common.words((out // 4, in_features // 2)))
    tensors = {"qweight": Array.of(np.ascontiguousarray(words).view(np.int16))}
    for name, array in (("scales", scales), (offsets_of(settings), offsets)):
        wide = np.zeros((room, out), array.bits.dtype)
        wide[:groups] = array.bits
        tensors[name] = Array(dtype, wide)
    return draw(common.finished(settings, tensors, flags, out))


def strategies() -> Mapping[str, st.SearchStrategy[Pack]]:
    return {"awq_gemv_fast": modules()}
