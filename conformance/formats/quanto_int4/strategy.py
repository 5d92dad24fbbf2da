"""What Hypothesis draws modules of quanto's narrow codes from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hypothesis import strategies as st

from ...bits.array import Array
from .. import strategies as common
from ..module import Pack
from .packing import CODES, SCALES, WIDTHS, described, pack_floats


@st.composite
def modules(draw: st.DrawFn) -> Pack:
    """A module of any bytes; shifts are any numbers of ordinary size."""
    bits, size = draw(st.sampled_from(WIDTHS)), draw(st.sampled_from((8, 32, 33, 64, 96, 128)))
    out, each = draw(st.integers(1, 24)), draw(st.integers(1, 3))
    groups = out * each
    dtype, kind = draw(st.sampled_from(common.SCALE_DTYPES)), draw(st.sampled_from(common.SCALE_KINDS))
    scales = draw(common.scales((groups,), dtype, kind))
    low = draw(st.sampled_from(("ordinary", "negative", "subnormal", "zero")))
    shifts = draw(common.scales((groups,), dtype, low))
    tensors = pack_floats(np.zeros((out, each * size), np.int64), shifts, scales, bits=bits)
    stored = tensors[CODES]
    words = np.ascontiguousarray(draw(common.words((-(-stored.bits.size // 4),)))).view(np.uint8)
    tensors[CODES] = Array("uint8", words[: stored.bits.size].reshape(stored.shape))
    flags = {f"{bits}bit", f"scales-{kind}", f"scales-{dtype}", f"shifts-{low}"}
    return draw(common.finished(described(f"qint{bits}", each * size), tensors, flags, out, SCALES))


def strategies() -> Mapping[str, st.SearchStrategy[Pack]]:
    return {"quanto_int4": modules()}
