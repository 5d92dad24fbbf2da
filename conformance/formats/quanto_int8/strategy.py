"""What Hypothesis draws modules of quanto's bytes from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hypothesis import strategies as st

from ...bits.array import Array
from .. import strategies as common
from ..module import Pack
from .packing import CODES, SCALES, described


@st.composite
def modules(draw: st.DrawFn) -> Pack:
    """A module of any small shape; every byte is a code."""
    out, in_features = draw(st.integers(1, 48)), draw(st.integers(1, 80))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind, dtype = draw(st.sampled_from(common.SCALE_KINDS)), draw(st.sampled_from(common.SCALE_DTYPES))
    tensors = {
        CODES: Array.of(rng.integers(-128, 128, (out, in_features)).astype(np.int8)),
        SCALES: draw(common.scales((out, 1), dtype, kind)),
    }
    flags = {f"scales-{kind}", f"scales-{dtype}"}
    config = described(draw(st.sampled_from(("qint8", "int8"))))
    return draw(common.finished(config, tensors, flags, out, SCALES))


def strategies() -> Mapping[str, st.SearchStrategy[Pack]]:
    return {"quanto_int8": modules()}
