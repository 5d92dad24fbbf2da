"""What Hypothesis draws ``pack-quantized`` modules from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ...bits.array import Array
from .. import strategies as common
from ..dialects import compressed_tensors as dialect
from ..module import Pack
from .addresses import OLD
from .packing import FORMAT, WIDTHS


@st.composite
def modules(draw: st.DrawFn) -> Pack:
    """A module of any width, of an old release or a new one, with zero points or without."""
    out, in_features, size, flags, scales, _ = draw(common.module())
    bits, old, sym = draw(st.sampled_from(WIDTHS)), draw(st.booleans()), draw(st.integers(0, 3)) == 0
    groups = scales.shape[0]
    changes: dict[str, Any] = {"symmetric": sym}
    tensors = {
        "weight_packed": Array.of(draw(common.words((out, _count(in_features, bits, old))))),
        "weight_scale": Array(scales.dtype, np.ascontiguousarray(scales.bits.T)),
        "weight_shape": Array.of(np.array([out, in_features], np.int64)),
    }
    if not sym:
        tensors["weight_zero_point"] = Array.of(draw(common.words((_count(out, bits, old), groups))))
    g_idx = draw(common.group_indices(in_features, groups, draw(st.sampled_from(common.GROUP_MAPS))))
    if old and g_idx is not None:
        tensors["weight_g_idx"] = Array.of(g_idx)
        changes["actorder"] = "group"
    config = dialect.config(FORMAT, bits, size, release=OLD if old else "", **changes)
    return draw(common.finished(config, tensors, flags, out, "weight_scale"))


def _count(fields: int, bits: int, old: bool) -> int:
    return -(-fields // (32 // bits)) if old else -(-fields * bits // 32)


def strategies() -> Mapping[str, st.SearchStrategy[Pack]]:
    return {"ct_packed": modules()}
