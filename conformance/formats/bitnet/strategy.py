"""What Hypothesis draws modules of BitNet from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from ...bits.array import Array
from .. import strategies as common
from ..module import Pack
from .packing import CODES, DIVIDED, FORMS, SCALE, described


@st.composite
def modules(draw: st.DrawFn) -> Pack:
    """A module of either layer and of any small shape; every byte occurs."""
    form, rows, in_features = draw(st.sampled_from(FORMS)), draw(st.integers(1, 12)), draw(st.integers(1, 80))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind, dtype = draw(st.sampled_from(common.SCALE_KINDS)), draw(st.sampled_from(common.SCALE_DTYPES))
    scale = draw(common.scales((1,), dtype, kind))
    assume(form != DIVIDED or scale.float64()[0] != 0)
    tensors = {CODES: Array.of(rng.integers(0, 256, (rows, in_features)).astype(np.uint8)), SCALE: scale}
    flags = {f"scales-{kind}", f"scales-{dtype}", form}
    return draw(common.finished(described(form), tensors, flags, 4 * rows, SCALE))


def strategies() -> Mapping[str, st.SearchStrategy[Pack]]:
    return {"bitnet": modules()}
