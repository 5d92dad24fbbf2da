"""What Hypothesis draws modules of VPTQ from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hypothesis import strategies as st

from ...bits.array import Array
from .. import strategies as common
from ..module import Pack
from .packing import SCALES, TABLES, Kind, alone, laid, settings

BITS = (1, 2, 4, 6, 8, 9)
VECTORS = (1, 2, 3, 8)
APART = ((0, -1, -1), (3, 2, 5))


@st.composite
def modules(draw: st.DrawFn) -> Pack:
    """A module of a few vectors of any kind."""
    bits, books, vector = draw(st.sampled_from(BITS)), draw(st.integers(1, 3)), draw(st.sampled_from(VECTORS))
    more, few = draw(st.integers(0, min(bits, 4))), draw(st.sampled_from(APART))
    perm, norm = draw(st.booleans()), draw(st.booleans())
    # Of fewer bits than half a word VPTQ's own reader cannot say how many they are.
    out, group = draw(st.integers(1, 24)), draw(st.integers(17, 40))
    kind = Kind(bits, more, vector, books, few, perm, norm)
    inputs, high = few[0] + books * group, -(-out // vector)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from(common.SCALE_DTYPES))
    scale = draw(st.sampled_from(common.SCALE_KINDS))

    def floats(*shape: int) -> Array:
        found = draw(common.scales(shape, dtype, "ordinary"))
        signs = rng.integers(0, 2, shape).astype(found.bits.dtype)
        return Array(dtype, found.bits ^ (signs << found.bits.dtype.type(8 * found.bits.itemsize - 1)))

    codes, tables = rng.integers(0, 1 << bits, (books, high, group)), floats(books, 1 << bits, vector)
    tensors = laid(
        kind,
        codes,
        tables,
        residuals=(rng.integers(0, 1 << more, codes.shape), floats(books, 1 << more, vector)) if more else None,
        outliers=(rng.integers(0, few[2], (-(-out // few[1]), few[0])), floats(few[2], few[1])) if few[0] else None,
        perm=rng.permutation(inputs) if perm else None,
        norm=(draw(common.scales((inputs,), dtype, scale)), floats(inputs)) if norm else None,
    )
    flags = {f"scales-{dtype}", f"{bits}bit", f"{books}-codebooks", f"vectors-{vector}"}
    named = {"residuals": more, "outliers": few[0], "ordered": perm, f"scales-{scale}": norm, "not-scaled": not norm}
    flags |= {name for name, so in named.items() if so}
    own = settings(kind, out_features=out, in_features=inputs, group_size=group)
    return draw(common.finished(alone(own), tensors, flags, out, SCALES if norm else TABLES))


def strategies() -> Mapping[str, st.SearchStrategy[Pack]]:
    return {"vptq": modules()}
