"""What Hypothesis draws int8 modules of bitsandbytes from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hypothesis import strategies as st

from .. import strategies as common
from ..dialects import bitsandbytes as dialect
from ..module import Pack
from .packing import pack


@st.composite
def modules(draw: st.DrawFn) -> Pack:
    """A module of any small shape; every byte is a code."""
    out, in_features = draw(st.integers(1, 48)), draw(st.integers(1, 80))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    codes, kind = rng.integers(-128, 128, (out, in_features)), draw(st.sampled_from(common.SCALE_KINDS))
    tensors = pack(codes, codes, draw(common.scales((out,), "float32", kind)))
    flags = {f"scales-{kind}"}
    if draw(st.booleans()):
        del tensors["weight_format"]
        flags.add("no-weight_format")
    bias = draw(st.sampled_from(common.BIASES))
    if bias != "none":
        tensors["bias"] = draw(common.scales((out,), "float16", "zero" if bias == "zero" else "ordinary"))
    output = draw(st.sampled_from((None, None, *common.SCALE_DTYPES)))
    return Pack(dialect.config("int8"), tensors, frozenset(flags | {f"bias-{bias}", f"dtype-{output}"}), output)


def strategies() -> Mapping[str, st.SearchStrategy[Pack]]:
    return {"bnb_int8": modules()}
