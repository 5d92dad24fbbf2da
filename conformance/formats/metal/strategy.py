"""What Hypothesis draws metal modules from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hypothesis import strategies as st

from ...bits.array import Array
from .. import strategies as common
from ..module import Pack
from .packing import WIDTHS, config


@st.composite
def modules(draw: st.DrawFn) -> Pack:
    """A module of any words; the biases are any finite numbers."""
    out, in_features, group_size, flags, scales, dtype = draw(common.module())
    groups, bits = len(scales.bits), draw(st.sampled_from(WIDTHS))
    size = in_features if group_size == -1 else group_size
    offsets = draw(common.scales((groups, out), dtype, draw(st.sampled_from(common.SCALE_KINDS))))
    words = draw(common.words((out, in_features * bits // 32)))
    turned = [Array(dtype, np.ascontiguousarray(array.bits.T)) for array in (scales, offsets)]
    tensors = {"weight": Array.of(words.view(np.uint32)), "scales": turned[0], "qbiases": turned[1]}
    return draw(common.finished(config(bits, size), tensors, flags, out))


def strategies() -> Mapping[str, st.SearchStrategy[Pack]]:
    return {"metal": modules()}
