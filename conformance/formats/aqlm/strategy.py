"""What Hypothesis draws modules of AQLM from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hypothesis import strategies as st

from ...bits.array import Array
from .. import strategies as common
from ..module import Pack
from .packing import BOOKS, CODES, config, laid

BITS = (1, 2, 4, 6, 8, 9)
BLOCKS = ((1, 1), (1, 8), (2, 4), (3, 2), (4, 1))


@st.composite
def modules(draw: st.DrawFn) -> Pack:
    """A module of a few blocks of any kind; codes have whatever bits their bytes hold."""
    bits, books, block = draw(st.sampled_from(BITS)), draw(st.integers(1, 4)), draw(st.sampled_from(BLOCKS))
    blocks = draw(st.integers(1, 12)), draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind, dtype = draw(st.sampled_from(common.SCALE_KINDS)), draw(st.sampled_from(common.SCALE_DTYPES))
    codes = rng.integers(0, 1 << bits, (*blocks, books))
    tables = draw(common.scales((books, 1 << bits, *block), dtype, "negative"))
    signs = rng.integers(0, 2, tables.shape).astype(tables.bits.dtype)
    tables = Array(dtype, tables.bits ^ (signs << tables.bits.dtype.type(8 * tables.bits.itemsize - 1)))
    tensors = laid(codes, tables, draw(common.scales((blocks[0],), dtype, kind)), bits)
    flags = {f"scales-{kind}", f"scales-{dtype}", f"{bits}bit", f"{books}-codebooks", f"blocks-{block[0]}x{block[1]}"}
    if draw(st.booleans()):
        stored = tensors[CODES].bits
        above = rng.integers(0, 1 << 15, stored.shape) << bits
        loose = (stored.astype(np.int64) & ((1 << bits) - 1)) | above
        width = 8 * stored.itemsize
        tensors[CODES] = Array.of((loose & ((1 << width) - 1)).astype(f"uint{width}").view(stored.dtype))
        flags.add("other-bits")
    out = blocks[0] * block[0]
    return draw(common.finished(config(bits, books=books, block=block), tensors, flags, out, BOOKS))


def strategies() -> Mapping[str, st.SearchStrategy[Pack]]:
    return {"aqlm": modules()}
