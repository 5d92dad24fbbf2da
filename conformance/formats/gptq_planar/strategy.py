"""What Hypothesis draws planar GPTQ modules from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hypothesis import strategies as st

from ...bits.array import Array
from .. import strategies as common
from ..domain import label
from ..module import Pack
from .packing import BLOCKS, LABEL, WIDTHS, config
from .packing import words as packed


@st.composite
def modules(draw: st.DrawFn, bits: int) -> Pack:
    """A module with its config in one of the spellings in use. Words are drawn: each is a legal pack."""
    found = common.module().filter(lambda module: bits not in BLOCKS or not module[0] % 32)
    out, in_features, group_size, flags, scales, _ = draw(found)
    groups = scales.shape[0]
    sym = draw(st.booleans())
    middle = packed(np.full((groups, out), 1 << (bits - 1)), bits)
    qzeros = middle if sym else draw(common.words((groups, -(-out * bits // 32))))
    tensors = {
        "qweight": Array.of(draw(common.words((in_features * bits // 32, out)))),
        "qzeros": Array.of(qzeros),
        "scales": scales,
    }
    kind = draw(st.sampled_from(common.GROUP_MAPS))
    if (g_idx := draw(common.group_indices(in_features, groups, kind))) is not None:
        tensors["g_idx"] = Array.of(g_idx)
    settings = config(bits, group_size) | {"desc_act": kind in ("act-order", "arbitrary"), "sym": sym}
    if draw(st.booleans()):
        settings |= {"format": LABEL, "meta": {"quantizer": ["gptqmodel:7.7.0"]}, "pack_dtype": "int32"}
    flags |= {f"g_idx-{kind}", "sym" if sym else "asym"}
    return draw(common.finished(settings, tensors, flags, out))


def strategies() -> Mapping[str, st.SearchStrategy[Pack]]:
    return {label("gptq_planar", bits, WIDTHS): modules(bits) for bits in WIDTHS}
