"""What Hypothesis draws Marlin modules from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from ...bits.array import Array
from .. import strategies as common
from ..module import Pack
from .packing import awq, config, names_of


@st.composite
def modules(draw: st.DrawFn) -> Pack:
    """A module with its config in one of the spellings in use. Words are drawn: each is a legal pack."""
    out, in_features, group_size, flags, scales, _ = draw(common.module().filter(lambda found: not found[0] % 64))
    spellings: tuple[dict[str, Any], ...] = (
        config(4, group_size),
        {key: value for key, value in config(4, group_size).items() if key != "is_marlin_format"}
        | {"checkpoint_format": "marlin"},
        awq(group_size),
        {"w_bit": 4, "q_group_size": group_size, "version": "MARLIN", "zero_point": False},
    )
    settings = draw(st.sampled_from(spellings))
    codes, factors = names_of(settings)
    words = draw(common.words((in_features // 16, 2 * out)))
    tensors = {codes: Array.of(words), factors: scales}
    return draw(common.finished(settings, tensors, flags, out, factors))


def strategies() -> Mapping[str, st.SearchStrategy[Pack]]:
    return {"gptq_marlin": modules()}
