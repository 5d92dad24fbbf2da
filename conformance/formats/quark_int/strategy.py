"""What Hypothesis draws modules of Quark's integers from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hypothesis import strategies as st

from ...bits.array import Array
from .. import strategies as common
from ..dialects import quark as dialect
from ..module import Pack
from .packing import DTYPES, numbers_in


@st.composite
def modules(draw: st.DrawFn, bits: int) -> Pack:
    """A module of either sign and order, in groups or with a scale for each output; every word is legal."""
    out, in_features, size, flags, scales, _ = draw(common.module())
    dtype = draw(st.sampled_from([dtype for dtype in DTYPES if dtype.endswith(str(bits))]))
    grouped, groups = size != -1, scales.shape[0]
    rows, columns = (in_features, out) if grouped else (out, in_features)
    stored = {"4": np.int32, "8": np.int8}[dtype[-1]] if dtype in ("int4", "uint4", "int8") else np.uint8

    def packed(rows: int, count: int) -> np.ndarray:
        if dtype == "int2":
            return draw(common.words((rows, count))) >> 30
        words = draw(common.words((rows, count * bits // 32 if count * bits % 32 == 0 else -(-count * bits // 32))))
        found = np.ascontiguousarray(words).view(stored)
        return np.ascontiguousarray(found[:, : count // numbers_in(dialect.arguments(config))])

    weight = dialect.weight(dtype, "group" if grouped else "channel", size)
    config = dialect.config(weight, draw(st.sampled_from(("reorder", "order"))))
    zeros = packed(groups, out)
    tensors = {
        "weight": Array.of(packed(rows, columns)),
        "weight_scale": scales if grouped else Array(scales.dtype, scales.bits[0].copy()),
        "weight_zero_point": Array.of(zeros if grouped else zeros[0].copy()),
    }
    return draw(common.finished(config, tensors, flags, out, "weight_scale"))


def strategies() -> Mapping[str, st.SearchStrategy[Pack]]:
    return {"quark_int": modules(4), "quark_int-8bit": modules(8), "quark_int-2bit": modules(2)}
