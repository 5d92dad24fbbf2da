"""What Hypothesis draws GPTQ modules from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ...bits.array import Array
from ...bits.fields import words as packed
from .. import strategies as common
from ..module import Pack
from .packing import WIDTHS, config, spelled


@st.composite
def modules(draw: st.DrawFn, bits: int) -> Pack:
    """A module with its config in one of the spellings in use."""
    out, in_features, group_size, flags, scales, _ = draw(common.module())
    groups = scales.shape[0]
    tensors = {"scales": scales, "qweight": Array.of(draw(common.words((in_features * bits // 32, out))))}
    kind = draw(st.sampled_from(common.GROUP_MAPS))
    g_idx = draw(common.group_indices(in_features, groups, kind))
    if g_idx is not None:
        tensors["g_idx"] = Array.of(g_idx)
    sym = draw(st.booleans())
    label: dict[str, Any] = draw(st.sampled_from(_LABELS))
    middle = (1 << (bits - 1)) - ("gptq_v2" not in label.values())
    qzeros = packed(np.full((groups, out), middle), bits) if sym else draw(common.words((groups, -(-out * bits // 32))))
    tensors["qzeros"] = Array.of(qzeros)
    own = {"sym": sym, "desc_act": kind in ("act-order", "arbitrary")}
    settings = spelled(config(bits, group_size) | own | label)
    flags |= {f"g_idx-{kind}", "sym" if sym else "asym"}
    return draw(common.finished(settings, tensors, flags, out))


_LABELS: tuple[dict[str, Any], ...] = ({}, {"checkpoint_format": "gptq"}, {"format": "gptq"})


def strategies() -> Mapping[str, st.SearchStrategy[Pack]]:
    return {"gptq" if bits == WIDTHS[0] else f"gptq-{bits}bit": modules(bits) for bits in WIDTHS}
