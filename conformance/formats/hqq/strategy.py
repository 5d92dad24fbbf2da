"""What Hypothesis draws HQQ modules from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hypothesis import strategies as st

from ...bits.array import Array
from .. import strategies as common
from ..module import Pack
from .packing import PACKINGS, config, pack_floats


@st.composite
def modules(draw: st.DrawFn) -> Pack:
    """A module of any words; zero points are any numbers of ordinary size."""
    bits, axis = draw(st.sampled_from(tuple(PACKINGS))), draw(st.sampled_from((1, 0)))
    _, held, word = PACKINGS[bits]
    unit = 1 if bits == 3 else held
    rows, columns = unit * draw(st.integers(1, 40 // unit)), draw(st.integers(1, 12)) * 8
    count, group = rows * columns, columns if axis else rows
    out = draw(st.sampled_from([size for size in range(1, 97) if count % size == 0]))
    dtype, kind = draw(st.sampled_from(common.SCALE_DTYPES)), draw(st.sampled_from(common.SCALE_KINDS))
    groups = count // group
    scales = draw(common.scales((groups,), dtype, kind))
    zeros = draw(common.scales((groups,), dtype, draw(st.sampled_from(("ordinary", "negative", "subnormal", "zero")))))
    as_float = draw(st.booleans()) and (word == "int32" or columns * count % 4 == 0)
    codes = np.zeros((out, count // out), np.int64)
    tensors = pack_floats(codes, zeros, scales, bits=bits, group=group, axis=axis, as_float=as_float)
    stored = tensors["W_q"]
    words = np.ascontiguousarray(draw(common.words((-(-stored.bits.nbytes // 4),)))).view(np.uint8)
    drawn = np.ascontiguousarray(words[: stored.bits.nbytes]).view(stored.bits.dtype).reshape(stored.shape)
    tensors["W_q"] = Array(stored.dtype, drawn)
    said = -1 if group == (count // out if axis else out) and draw(st.booleans()) else group
    flags = {f"{bits}bit", f"axis-{axis}", f"scales-{kind}", f"scales-{dtype}"}
    flags.add("viewed" if as_float else "words")
    settings = config(bits, said, axis, as_float)
    return draw(common.finished(settings, tensors, flags, out, "scale"))


def strategies() -> Mapping[str, st.SearchStrategy[Pack]]:
    return {"hqq": modules()}
