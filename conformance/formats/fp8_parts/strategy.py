"""What Hypothesis draws modules of FP8 in parts from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hypothesis import strategies as st

from .. import strategies as common
from ..fp8.grid import LEGAL
from ..module import Pack
from .packing import QUANTO, TORCHAO, names_of, quanto, stored, torchao


@st.composite
def modules(draw: st.DrawFn) -> Pack:
    kind = draw(st.sampled_from(("quanto", "row", "tensor", "blocks")))
    rows, columns = draw(st.sampled_from((1, 3, 8, 16))), draw(st.sampled_from((4, 8, 16, 33)))
    high, wide = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    out, in_features = rows * high, columns * wide
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    codes = LEGAL[rng.integers(0, len(LEGAL), (out, in_features))]
    block = {"tensor": (out, in_features), "blocks": (rows, columns)}.get(kind, (1, in_features))
    shape = (out // block[0], in_features // block[1])
    kept, scale = draw(st.sampled_from(common.SCALE_DTYPES)), draw(st.sampled_from(common.SCALE_KINDS))
    scales, own = draw(common.scales(shape, kept, scale)), draw(st.sampled_from(common.SCALE_DTYPES))
    config = quanto() if kind == "quanto" else torchao(block, own)
    tensors = stored(QUANTO if kind == "quanto" else TORCHAO, codes, scales)
    flags = {kind, f"scales-{scale}", f"scales-{kept}"}
    return draw(common.finished(config, tensors, flags, out, names_of(config)[1]))


def strategies() -> Mapping[str, st.SearchStrategy[Pack]]:
    return {"fp8_parts": modules()}
