"""What Hypothesis draws MXFP4 modules from: raw bytes, of which all are legal but scales of 255."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hypothesis import strategies as st

from ...bits.array import Array
from .. import strategies as common
from ..module import Pack
from .grid import CONFIGS
from .packing import GROUP, WIDTH

KINDS = ("experts", "experts", "gpt-oss", "ct", "modelopt", "modelopt-w4a8")
ENDS = np.array([0, 1, 127, 253, 254])


@st.composite
def modules(draw: st.DrawFn) -> Pack:
    kind = draw(st.sampled_from(KINDS))
    stack = (draw(st.integers(1, 5)),) if kind == "experts" else ()
    rows = (*stack, draw(st.integers(1, 40)))
    groups = draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    low, high = draw(st.sampled_from(((100, 140), (0, 20), (240, 255), (0, 255))))
    bytes_ = np.where(rng.random((*rows, groups)) < 0.1, rng.choice(ENDS, (*rows, groups)), 0)
    bytes_ = np.where(bytes_, bytes_, rng.integers(low, high, (*rows, groups))).astype(np.uint8)
    packed = rng.integers(0, 256, (*rows, groups * WIDTH)).astype(np.uint8)
    dtype = draw(st.sampled_from(("uint8", "float8_e8m0fnu"))) if kind in ("ct", "modelopt") else "uint8"
    if kind in ("experts", "gpt-oss"):
        codes = Array("uint8", packed.reshape(*rows, groups, WIDTH))
        tensors = {"_blocks": codes, "_scales": Array(dtype, bytes_)}
    else:
        leaf = "weight_packed" if kind == "ct" else "weight"
        tensors = {leaf: Array("uint8", packed), "weight_scale": Array(dtype, bytes_)}
    flags = {kind, f"scales-{dtype}"}
    bias = draw(st.sampled_from(common.BIASES))
    if bias != "none":
        tensors |= {"bias": draw(common.scales(rows[-1:], "bfloat16", "zero" if bias == "zero" else "ordinary"))}
    output = draw(st.sampled_from((None, None, *common.SCALE_DTYPES)))
    config = dict(CONFIGS["gpt-oss" if kind == "experts" else kind])
    assert GROUP == 2 * WIDTH
    return Pack(config, tensors, frozenset(flags | {f"bias-{bias}", f"dtype-{output}"}), output)


def strategies() -> Mapping[str, st.SearchStrategy[Pack]]:
    return {"mxfp4": modules()}
