"""What Hypothesis draws ParoQuant modules from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ...bits.array import Array
from ...bits.rounding import nearest
from .. import strategies as common
from ..module import Pack
from .packing import ANGLES, COLUMNS, PAIRS, SLUG, config

ROTATIONS = (1, 2, 3, 8)


@st.composite
def modules(draw: st.DrawFn) -> Pack:
    """A module with its config in one of the spellings in use. Words are drawn: each is a legal pack."""
    size = draw(st.sampled_from(common.GROUP_SIZES))
    out, in_features, shape = draw(common.shapes(size))
    groups, krot = 1 if size == -1 else in_features // size, draw(st.sampled_from(ROTATIONS))
    dtype, kind = draw(st.sampled_from(common.SCALE_DTYPES)), draw(st.sampled_from(common.SCALE_KINDS))
    if dtype != "float16" and kind in ("huge", "any-finite"):
        dtype = "float16"  # products of others leave float32
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    order = np.argsort(rng.random((krot, groups, in_features // groups)), axis=2)
    angles, wide = draw(st.sampled_from(("float16", "bfloat16", "float32"))), draw(st.booleans())
    turns = rng.uniform(-60000, 60000, (krot, in_features // 2)) if wide else rng.normal(size=(krot, in_features // 2))
    tensors = {
        "qweight": Array.of(draw(common.words((in_features, out // 8)))),
        "qzeros": Array.of(draw(common.words((groups, out // 8)))),
        "scales": draw(common.scales((groups, out), dtype, kind)),
        PAIRS: Array.of(order.reshape(krot, -1).astype(np.int16)),
        ANGLES: nearest(turns * (rng.integers(0, 8, turns.shape) > 0), angles),
        COLUMNS: nearest(rng.lognormal(size=(1, in_features)) * rng.choice([1, -1], (1, in_features)), "float16"),
    }
    spellings: tuple[dict[str, Any], ...] = (
        config(4, size, krot),
        config(4, size),
        config(4, size, krot) | {"format": SLUG, "checkpoint_format": SLUG, "sym": True},
        {"quant_method": SLUG, "group_size": size},
    )
    flags = {f"g{size}", shape, f"scales-{kind}", f"scales-{dtype}", f"{krot}-rotations", f"angles-{angles}"}
    flags |= {"wide-angles"} if wide else set()
    return draw(common.finished(draw(st.sampled_from(spellings)), tensors, flags, out))


def strategies() -> Mapping[str, st.SearchStrategy[Pack]]:
    return {SLUG: modules()}
