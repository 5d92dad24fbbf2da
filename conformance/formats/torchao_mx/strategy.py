"""What Hypothesis draws modules of torchao's MX and NVFP4 from: raw bytes, of which all are legal but those of NaN."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hypothesis import strategies as st

from ...bits.array import Array
from .. import strategies as common
from ..fp8.grid import LEGAL as CODES
from ..module import Pack
from ..nvfp4.grid import LEGAL, USUAL
from ..torchao_int8.packing import described
from .grid import RANGES, WHOLES
from .packing import FOURS, KINDS, MXFP8, entry, stored


@st.composite
def modules(draw: st.DrawFn) -> Pack:
    kind, swizzled = draw(st.sampled_from(tuple(KINDS))), draw(st.booleans())
    out, groups = draw(st.one_of(st.integers(1, 40), st.integers(120, 140))), draw(st.integers(1, 9))
    whole, range_ = kind == FOURS and draw(st.booleans()), draw(st.sampled_from(tuple(RANGES)))
    dtype = draw(st.sampled_from(common.SCALE_DTYPES if kind == FOURS else common.SCALE_DTYPES[1:]))
    rng, number = np.random.default_rng(draw(st.integers(0, 2**32 - 1))), None
    shape = (out, groups * KINDS[kind][1])
    codes = CODES[rng.integers(0, len(CODES), shape)] if kind == MXFP8 else rng.integers(0, 16, shape)
    if kind == FOURS:
        legal = draw(st.sampled_from((USUAL, LEGAL)))
        bytes_ = legal[rng.integers(0, len(legal), (out, groups))]
        if whole:
            low, high = WHOLES[range_]
            bits = rng.integers(low + 127, high + 127) << 23 | rng.integers(0, 1 << 23)
            number = float(np.uint32(bits).view(np.float32))
    else:
        bytes_ = rng.integers(*RANGES[range_], (out, groups))
    config = described(entry(kind, swizzled=swizzled, whole=whole, dtype=dtype))
    tensors = stored(config, codes, bytes_, number)
    flags = {kind, "tiles" if swizzled else "rows", f"range-{range_}", f"is-{dtype}"} | ({"whole"} if whole else set())
    if (bias := draw(st.sampled_from(common.BIASES))) != "none":
        made: Array = draw(common.scales((out,), "bfloat16", "zero" if bias == "zero" else "ordinary"))
        tensors = tensors | {"bias": made}
    output = draw(st.sampled_from((None, None, *common.SCALE_DTYPES)))
    return Pack(config, tensors, frozenset(flags | {f"bias-{bias}", f"dtype-{output}"}), output)


def strategies() -> Mapping[str, st.SearchStrategy[Pack]]:
    return {"torchao_mx": modules()}
