"""What Hypothesis draws QQQ modules from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ...bits.array import Array
from .. import strategies as common
from ..module import Pack
from .packing import SLUG, config


@st.composite
def modules(draw: st.DrawFn) -> Pack:
    """A module with its config in one of the spellings in use. Words are drawn: each is a legal pack."""
    size, groups = draw(st.sampled_from((128, 64, 32, -1))), draw(st.integers(2, 3))
    out = 64 * draw(st.integers(1, 3))
    in_features = 16 * draw(st.integers(1, 8)) if size == -1 else size * groups
    kind, grown = draw(st.sampled_from(common.SCALE_KINDS)), draw(st.sampled_from(common.SCALE_KINDS))
    tensors = {
        "B": Array.of(draw(common.words((in_features // 16, 2 * out)))),
        "s_channel": draw(common.scales((1, out), "float32", kind)),
        "s_group": Array.of(np.zeros(0, np.float16)),
    }
    if size != -1:
        tensors["s_group"] = draw(common.scales((groups, out), "float16", grown))
    spellings: tuple[dict[str, Any], ...] = (
        config(4, size),
        config(4, size) | {"format": SLUG, "checkpoint_format": SLUG, "wbits": 4},
        {"quant_method": SLUG, "wbits": 4, "group_size": size},
    )
    settings = draw(st.sampled_from(spellings))
    flags = {f"g{size}", f"scales-{kind}", f"grown-{grown}"}
    bias = draw(st.sampled_from(common.BIASES))
    if bias != "none":
        tensors["bias"] = draw(common.scales((out,), "float16", "zero" if bias == "zero" else "ordinary"))
    output = draw(st.sampled_from((None, None, *common.SCALE_DTYPES)))
    return Pack(settings, tensors, frozenset(flags | {f"bias-{bias}", f"dtype-{output}"}), output)


def strategies() -> Mapping[str, st.SearchStrategy[Pack]]:
    return {SLUG: modules()}
