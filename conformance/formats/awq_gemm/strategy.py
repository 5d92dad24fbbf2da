"""What Hypothesis draws AWQ gemm modules from."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import strategies as st

from ...bits.array import Array
from .. import strategies as common
from ..module import Pack
from .packing import DIVISORS, WIDTHS, config


@st.composite
def modules(draw: st.DrawFn) -> Pack:
    """A module with its config in one of the spellings in use."""
    out, in_features, group_size, flags, scales, _ = draw(common.module())
    tensors = {"scales": scales, "qweight": Array.of(draw(common.words((in_features, out // 8))))}
    spellings = (
        config(4, group_size),
        {"quant_method": "awq", "w_bit": 4, "q_group_size": group_size, "version": "GEMM"},
        {"w_bit": 4, "q_group_size": group_size, "version": "GEMM", "zero_point": True},
    )
    settings = draw(st.sampled_from(spellings))
    tensors["qzeros"] = Array.of(draw(common.words((scales.shape[0], out // 8))))
    return draw(common.finished(settings, tensors, flags, out))


@st.composite
def other_widths(draw: st.DrawFn, bits: int) -> Pack:
    """The same at another width."""
    out, in_features, group_size, flags, scales, _ = draw(common.module())
    words = -(-out * bits // 32)
    tensors = {"scales": scales, "qweight": Array.of(draw(common.words((in_features, words))))}
    tensors["qzeros"] = Array.of(draw(common.words((scales.shape[0], words))))
    return draw(common.finished(config(bits, group_size), tensors, flags, out))


@st.composite
def scaled(draw: st.DrawFn) -> Pack:
    """The same behind a scaled activation; a divisor is no zero."""
    pack = draw(modules())
    kind, dtype = draw(st.sampled_from(("ordinary", "negative", "huge"))), draw(st.sampled_from(common.SCALE_DTYPES))
    divisors = draw(common.scales((len(pack.tensors["qweight"].bits),), dtype, kind))
    return Pack(pack.config, {**pack.tensors, DIVISORS: divisors}, pack.flags, pack.dtype)


def strategies() -> Mapping[str, st.SearchStrategy[Pack]]:
    return {"awq": modules(), "awq-scaled-activation": scaled()} | {
        f"awq-{bits}bit": other_widths(bits) for bits in WIDTHS[1:]
    }
