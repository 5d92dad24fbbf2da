"""What Hypothesis draws modules in narrow words from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ...bits.array import Array
from .. import strategies as common
from ..domain import label
from ..module import Pack
from .packing import WIDTHS, WORDS, config


@st.composite
def modules(draw: st.DrawFn, bits: int) -> Pack:
    """A module with its config in one of the spellings in use. Words are drawn: each is a legal pack."""
    out, in_features, group_size, flags, scales, _ = draw(common.module())
    groups, word = scales.shape[0], draw(st.sampled_from(sorted(WORDS)))
    tensors = {
        "qweight": draw(_words((in_features * bits // WORDS[word], out), word)),
        "qzeros": draw(_words((groups, -(-out * bits // WORDS[word])), word)),
        "scales": scales,
    }
    kind = draw(st.sampled_from(common.GROUP_MAPS))
    if (g_idx := draw(common.group_indices(in_features, groups, kind))) is not None:
        tensors["g_idx"] = Array.of(g_idx)
    sym, spelled = draw(st.booleans()), draw(st.sampled_from(_LABELS))
    settings = config(bits, group_size, word) | {"desc_act": kind in ("act-order", "arbitrary"), "sym": sym} | spelled
    flags |= {f"g_idx-{kind}", "sym" if sym else "asym"}
    return draw(common.finished(settings, tensors, flags, out))


@st.composite
def _words(draw: st.DrawFn, shape: tuple[int, int], word: str) -> Array:
    wide = draw(common.words(shape)).view(np.uint32)
    return Array.of((wide >> np.uint32(32 - WORDS[word])).astype(f"u{word}").view(word))


_LABELS: tuple[dict[str, Any], ...] = (
    {},
    {"checkpoint_format": "gptq_v2"},
    {"format": "gptq", "meta": {"quantizer": ["gptqmodel:7.7.0"]}},
)


def strategies() -> Mapping[str, st.SearchStrategy[Pack]]:
    return {label("gptq_narrow", bits, WIDTHS): modules(bits) for bits in WIDTHS}
