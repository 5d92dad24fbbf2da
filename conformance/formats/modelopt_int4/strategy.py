"""What Hypothesis draws modules of ModelOpt's INT4 from; every byte is a pair of codes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hypothesis import strategies as st

from ...bits.array import Array
from .. import strategies as common
from ..module import Pack
from .packing import modelopt


@st.composite
def modules(draw: st.DrawFn) -> Pack:
    """A module of groups of any size, whose inputs may have scales."""
    pairs, groups, size = draw(st.integers(1, 24)), draw(st.integers(1, 6)), draw(st.sampled_from((8, 16, 32, 33, 64)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(common.SCALE_KINDS))
    tensors = {
        "weight": Array.of(rng.integers(0, 256, (pairs, groups * size)).astype(np.uint8)),
        "weight_scale": draw(common.scales((2 * pairs, groups), "float32", kind)),
    }
    inputs = draw(st.sampled_from((None, None, *common.SCALE_DTYPES)))
    if inputs is not None:
        tensors["pre_quant_scale"] = draw(common.scales((groups * size,), inputs, "ordinary"))
    said = draw(st.booleans())
    bias = draw(st.sampled_from(common.BIASES))
    if bias != "none":
        tensors["bias"] = draw(common.scales((2 * pairs,), "float16", "zero" if bias == "zero" else "ordinary"))
    output = draw(st.sampled_from((None, None, *common.SCALE_DTYPES)))
    flags = {f"scales-{kind}", f"inputs-{inputs}", f"bias-{bias}", f"dtype-{output}"}
    return Pack(modelopt(size if said else -1), tensors, frozenset(flags), output)


def strategies() -> Mapping[str, st.SearchStrategy[Pack]]:
    return {"modelopt_int4": modules()}
