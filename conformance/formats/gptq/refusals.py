"""GPTQ modules with one thing wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.fields import repeated
from .. import refusals as common
from ..module import Refusal
from .packing import parts

PLAIN: dict[str, Any] = {"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": True, "sym": False}


def sound() -> dict[str, Array]:
    """A module [64, 128] in act-order."""
    rng = np.random.default_rng(7)
    scales = Array.of((rng.random((4, 64)) * 0.01).astype(np.float16))
    tensors = {"qweight": common.words(rng, 16, 64), "qzeros": common.words(rng, 4, 8), "scales": scales}
    return tensors | {"g_idx": Array.of(rng.permutation(np.arange(128, dtype=np.int32) // 32))}


def refusals() -> Iterator[Refusal]:
    tensors = sound()
    yield from common.common("gptq", PLAIN, tensors, parts(PLAIN, tensors).dense(None))
    yield from _layouts(tensors)
    yield from _widths(tensors)
    yield from _group_index(tensors)
    yield Refusal(
        "gptq-labels-disagree",
        PLAIN | {"format": "gptq", "checkpoint_format": "marlin"},
        tensors,
        "config-contradiction",
    )
    yield Refusal("gptq-named-awq", PLAIN | {"quant_method": "awq"}, common.without(tensors, "g_idx"), "bad-shape")


def _layouts(tensors: dict[str, Array]) -> Iterator[Refusal]:
    found = parts(PLAIN, tensors)
    v1, v2 = found.dense(None), found.with_(z=(found.z - 1) % 16).dense(None)
    # What GPTQModel writes under this name at 4 bits differs from version 1 in that zero points are stored as is.
    readings = {"marlin": (v2, v1)}
    for layout in ("bitblas", "marlin", "never-heard-of"):
        config = PLAIN | {"checkpoint_format": layout}
        yield Refusal(f"gptq-{layout}", config, tensors, "unsupported-layout", readings.get(layout, ()))
    yield Refusal("gptq-is_marlin_format", PLAIN | {"is_marlin_format": True}, tensors, "unsupported-layout")
    # Zero points that are all alike excuse the labels gptq and gptq_v2 of a symmetric file, and nothing else.
    sevens = tensors | {"qzeros": Array.of(np.full((4, 8), repeated(7, 4), np.int32))}
    found = parts(PLAIN, sevens)
    v1, v2 = found.dense(None), found.with_(z=found.z - 1).dense(None)
    symmetric = PLAIN | {"sym": True}
    marlin = symmetric | {"checkpoint_format": "marlin"}
    yield Refusal("gptq-marlin-symmetric", marlin, sevens, "unsupported-layout", (v2, v1))
    bitblas = symmetric | {"checkpoint_format": "bitblas"}
    yield Refusal("gptq-bitblas-symmetric", bitblas, sevens, "unsupported-layout")
    for bits in (0, 64):
        yield Refusal(f"gptq-symmetric-bits-{bits}", symmetric | {"bits": bits}, sevens, "unsupported-bits")
    flat = sevens | {"scales": Array("float16", tensors["scales"].bits[0])}
    yield Refusal("gptq-symmetric-scales-one-axis", symmetric, flat, "bad-shape")


def _widths(tensors: dict[str, Array]) -> Iterator[Refusal]:
    """A width that the shapes contradict."""
    for bits in (2, 3, 8):
        yield Refusal(f"gptq-bits-contradicted-{bits}", PLAIN | {"bits": bits}, tensors, "bad-shape")


def _group_index(tensors: dict[str, Array]) -> Iterator[Refusal]:
    for label, value in (("too-large", 4), ("far-too-large", 2**31 - 1), ("negative", -1)):
        broken = tensors | {"g_idx": common.changed(tensors["g_idx"], (77,), value)}
        yield Refusal(f"gptq-g_idx-{label}", PLAIN, broken, "group-index-out-of-range")
    yield Refusal("gptq-desc_act-without-g_idx", PLAIN, common.without(tensors, "g_idx"), "missing-tensor")
    halves = {name: Array(tensors[name].dtype, tensors[name].bits[:2]) for name in ("qzeros", "scales")}
    two = PLAIN | {"group_size": 64}
    yield Refusal("gptq-desc_act-two-groups", two, {"qweight": tensors["qweight"], **halves}, "missing-tensor")
    folded = Array("int32", tensors["g_idx"].bits.reshape(2, -1))
    yield Refusal("gptq-g_idx-two-axes", PLAIN, tensors | {"g_idx": folded}, "bad-shape")
    cut = Array("int32", tensors["g_idx"].bits[:-8])
    yield Refusal("gptq-g_idx-short", PLAIN, tensors | {"g_idx": cut}, "bad-shape")
    # With one group, nothing but the count of inputs is wrong.
    whole = PLAIN | {"group_size": -1}
    one = {name: Array(tensors[name].dtype, tensors[name].bits[:1]) for name in ("qzeros", "scales")}
    long = {"qweight": tensors["qweight"], "g_idx": Array.of(np.zeros(136, np.int32)), **one}
    yield Refusal("gptq-g_idx-long", whole, long, "bad-shape")
    scalar = {
        "qweight": Array("int32", tensors["qweight"].bits[:1]),
        "g_idx": Array("int32", np.array(0, np.int32)),
        **one,
    }
    yield Refusal("gptq-g_idx-no-axis", whole, scalar, "bad-shape")
