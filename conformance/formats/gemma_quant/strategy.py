"""What Hypothesis draws modules of Gemma's integers from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hypothesis import strategies as st

from .. import strategies as common
from ..module import Pack
from .packing import WIDTHS, config, pack


@st.composite
def modules(draw: st.DrawFn) -> Pack:
    """A module of any width and of any small shape; every code occurs."""
    bits, embedding = draw(st.sampled_from(WIDTHS)), draw(st.booleans())
    out, in_features = draw(st.integers(1, 48)), 8 // bits * draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    codes, kind = rng.integers(0, 1 << bits, (out, in_features)), draw(st.sampled_from(common.SCALE_KINDS))
    scales = draw(common.scales((1, out), "float32", kind))
    tensors = pack(codes, codes, scales, bits=bits, embedding=embedding)
    flags = {f"scales-{kind}", f"{bits}bit", "embedding" if embedding else "linear"}
    bias = "none" if embedding else draw(st.sampled_from(common.BIASES))
    if bias != "none":
        tensors["bias"] = draw(common.scales((out,), "float16", "zero" if bias == "zero" else "ordinary"))
    output = draw(st.sampled_from((None, None, *common.SCALE_DTYPES)))
    return Pack(config(bits), tensors, frozenset(flags | {f"bias-{bias}", f"dtype-{output}"}), output)


def strategies() -> Mapping[str, st.SearchStrategy[Pack]]:
    return {"gemma_quant": modules()}
