"""What Hypothesis draws SINQ modules from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hypothesis import strategies as st

from ...bits.array import Array
from .. import strategies as common
from ..module import Pack
from .packing import LEVELS, PACKINGS, described, laid, meta

# Products of these stay finite, so that no weight is infinity times zero. What is made of bytes may overflow half
# precision, and is met by no zero.
_KINDS = ("ordinary", "negative", "subnormal", "zero")
_NO_ZEROS = _KINDS[:2]


@st.composite
def modules(draw: st.DrawFn) -> Pack:
    """A module of any words, in rows or tiles, whose scales may be packed themselves."""
    bits, tiles = draw(st.sampled_from(tuple(PACKINGS))), draw(st.booleans())
    _, held, word = PACKINGS[bits]
    group = 16 if tiles else draw(st.sampled_from((8, 16, 32, 40)))
    groups = draw(st.integers(1, 4))
    unit = group if tiles else 1 if word == "int32" else held
    out, inputs = unit * draw(st.integers(1, max(1, 24 // unit))), group * groups
    count = out * groups
    dtype, compute = draw(st.sampled_from(common.SCALE_DTYPES)), draw(st.sampled_from(common.SCALE_DTYPES))
    kind = draw(st.sampled_from(_KINDS))
    single, apart = draw(st.booleans()), draw(st.booleans())
    as_float = word == "int32" and draw(st.booleans()) and (compute == "float32" or group % 2 == 0)
    levels = next((name for name in LEVELS if int(name[-1]) == bits and draw(st.booleans())), "")
    codes = np.zeros((out, inputs), np.int64)
    scales = draw(common.scales((count,), dtype, kind))
    zeros = draw(common.scales(() if single else (count,), dtype, draw(st.sampled_from(_KINDS))))
    zeros = Array(dtype, zeros.bits.reshape(() if single else -1))
    columns = draw(
        common.scales(
            (out // group if tiles else 1, inputs), dtype, draw(st.sampled_from(_NO_ZEROS if apart else _KINDS))
        )
    )
    tensors = laid(
        codes, zeros, scales, columns, bits=bits, group=group, tiles=tiles, as_float=compute if as_float else None
    )
    stored = tensors["W_q"]
    words = np.ascontiguousarray(draw(common.words((-(-stored.bits.nbytes // 4),)))).view(np.uint8)
    drawn = np.ascontiguousarray(words[: stored.bits.nbytes]).view(stored.bits.dtype).reshape(stored.shape)
    tensors["W_q"] = Array(stored.dtype, drawn)
    shapes: dict[str, list[int]] = {}
    if apart:
        rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        for name in ("scale", "zero"):
            due = list(tensors.pop(f"meta.{name}").shape)
            shapes[f"{name}.shape"] = due
            n = int(np.prod(due))
            columns_of = draw(st.sampled_from([k for k in (1, 2, 4) if n % k == 0]))
            tensors[f"meta.{name}.x"] = Array.of(rng.integers(0, 256, (n // columns_of, columns_of)).astype(np.uint8))
            for leaf in "sm":
                tensors[f"meta.{name}.{leaf}"] = draw(
                    common.scales((1, columns_of), dtype, draw(st.sampled_from(_KINDS)))
                )
    method = f"sinq_{levels}" + ("_quantAux" if apart else "")
    flags = {f"{bits}bit", f"scales-{kind}", f"scales-{dtype}", f"is-{compute}", "tiles" if tiles else "rows"}
    flags |= {"viewed" if as_float else "words", "apart" if apart else "plain", "one-zero" if single else "zeros"}
    flags.add(levels or "uniform")
    own = meta(bits, group, (out, inputs), compute=compute, method=method, as_float=as_float, shapes=shapes)
    return draw(common.finished(described(own), tensors, flags, out, "meta.scale2"))


def strategies() -> Mapping[str, st.SearchStrategy[Pack]]:
    return {"sinq": modules()}
