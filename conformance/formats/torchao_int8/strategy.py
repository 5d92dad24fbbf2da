"""What Hypothesis draws modules of torchao's bytes from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hypothesis import strategies as st

from ...bits.array import Array
from .. import strategies as common
from ..module import Pack
from .packing import BYTES, CODES, NARROW, SCALES, ZEROS, described, entry, without_zeros


@st.composite
def modules(draw: st.DrawFn) -> Pack:
    """A module of either class, with zero points or without, in any dtype; every byte is a code."""
    out, in_features, size, flags, scales, _ = draw(common.module())
    tensors = {
        CODES: Array.of(np.ascontiguousarray(draw(common.words((out, in_features // 4)))).view(np.int8)),
        SCALES: Array(scales.dtype, np.ascontiguousarray(scales.bits.T)),
    }
    kind, dtype = draw(st.sampled_from((BYTES, NARROW))), draw(st.sampled_from(common.SCALE_DTYPES))
    said = entry(kind, (1, in_features if size == -1 else size), dtype)
    if draw(st.integers(0, 3)) == 0:
        said = without_zeros(said)
    else:
        words = draw(common.words((out, -(-scales.shape[0] // 4))))
        tensors[ZEROS] = Array.of(words.view(np.int8)[:, : scales.shape[0]].copy())
    return draw(common.finished(described(said), tensors, flags, out, SCALES))


def strategies() -> Mapping[str, st.SearchStrategy[Pack]]:
    return {"torchao_int8": modules()}
