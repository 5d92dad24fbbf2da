"""Hypothesis strategies that formats share.

The raw words are drawn, not the weights: every int32 word is a legal pack, so every field reaches every value in every
slot, and no packer stands between the draw and the decoder.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ..bits.array import Array
from .module import Pack

GROUP_SIZES = (32, 64, 128, -1)
SCALE_KINDS = ("ordinary", "subnormal", "negative", "huge", "zero", "any-finite")
SCALE_DTYPES = ("float16", "bfloat16", "float32")
GROUP_MAPS = ("absent", "sequential", "act-order", "arbitrary", "one-group")
BIASES = ("none", "zero", "real")

# A strategy is checked and named once; made anew for each pack that costs more than what is drawn from it.
_OUTPUT_DTYPES = st.sampled_from((None, None, *SCALE_DTYPES))
_GROUP_SIZES, _SHAPES = st.sampled_from(GROUP_SIZES), st.sampled_from(("square", "groups-times-8", "other"))
_KINDS, _DTYPES, _BIASES = st.sampled_from(SCALE_KINDS), st.sampled_from(SCALE_DTYPES), st.sampled_from(BIASES)
_SEEDS = st.integers(0, 2**32 - 1)
_COIN, _RUNS = st.booleans(), st.lists(_SEEDS, min_size=1, max_size=12)

_EXPONENT_BITS = {"float16": 5, "bfloat16": 8, "float32": 8}
_WIDTH = {"float16": 16, "bfloat16": 16, "float32": 32}


@cache
@st.composite
def words(draw: st.DrawFn, shape: tuple[int, ...]) -> np.ndarray:
    """int32 words: a short drawn run repeated (it shrinks well) or a seeded stream (it covers well)."""
    size = int(np.prod(shape))
    if draw(_COIN):
        seed = draw(_SEEDS)
        flat = np.random.default_rng(seed).integers(0, 2**32, size, dtype=np.uint32)
    else:
        run = draw(_RUNS)
        flat = np.resize(np.array(run, dtype=np.uint32), size)
    return flat.reshape(shape).view(np.int32)


@cache
@st.composite
def scales(draw: st.DrawFn, shape: tuple[int, ...], dtype: str, kind: str) -> Array:
    """Finite scales assembled from sign, exponent and mantissa bits, so that every class of value is reachable."""
    exponent_bits, width = _EXPONENT_BITS[dtype], _WIDTH[dtype]
    mantissa_bits = width - 1 - exponent_bits
    top, middle = (1 << exponent_bits) - 2, (1 << (exponent_bits - 1)) - 1
    exponents = {
        "ordinary": (middle - 10, middle + 2),
        "subnormal": (0, 0),
        "negative": (middle - 8, middle),
        "huge": (top - 4, top),
        "zero": (0, 0),
        "any-finite": (0, top),
    }[kind]
    size = int(np.prod(shape))
    rng = np.random.default_rng(draw(_SEEDS))
    exponent = rng.integers(exponents[0], exponents[1] + 1, size, dtype=np.uint32)
    mantissa = rng.integers(0, 1 << mantissa_bits, size, dtype=np.uint32)
    sign = rng.integers(0, 2, size, dtype=np.uint32)
    if kind == "zero":
        mantissa[:] = 0
    if kind in ("ordinary", "subnormal"):
        sign[:] = 0
    if kind == "negative":
        sign[:] = 1
    bits = (sign << (width - 1)) | (exponent << mantissa_bits) | mantissa
    return Array(dtype, bits.astype(np.uint16 if width == 16 else np.uint32).reshape(shape))


@cache
@st.composite
def shapes(draw: st.DrawFn, group_size: int) -> tuple[int, int, str]:
    """(out, in, kind): square, wide, tall, or with exactly eight outputs a group."""
    unit = 32 if group_size == -1 else group_size
    groups = draw(st.integers(1, max(1, 256 // unit)))
    in_features = unit * groups
    kind = draw(_SHAPES)
    if kind == "square":
        out_features = in_features
    elif kind == "groups-times-8":
        out_features = 8 * (1 if group_size == -1 else groups)
    else:
        out_features = 8 * draw(st.integers(1, 16))
    return out_features, in_features, kind


@cache
@st.composite
def group_indices(draw: st.DrawFn, in_features: int, groups: int, kind: str) -> np.ndarray | None:
    """The map int32 [in], or None where the file has none."""
    if kind == "absent":
        return None
    consecutive = np.arange(in_features, dtype=np.int32) // (in_features // groups)
    if kind == "sequential":
        return consecutive
    if kind == "one-group":
        return np.full(in_features, draw(st.integers(0, groups - 1)), dtype=np.int32)
    rng = np.random.default_rng(draw(_SEEDS))
    if kind == "act-order":
        return rng.permutation(consecutive)
    return rng.integers(0, groups, in_features, dtype=np.int32)


@cache
@st.composite
def module(draw: st.DrawFn) -> tuple[int, int, int, set[str], Array, str]:
    """(out, in, group size, flags, scales, dtype of the scales): where every module starts."""
    group_size = draw(_GROUP_SIZES)
    out_features, in_features, shape_kind = draw(shapes(group_size))
    groups = 1 if group_size == -1 else in_features // group_size
    kind, dtype = draw(_KINDS), draw(_DTYPES)
    flags = {f"g{group_size}", shape_kind, f"scales-{kind}", f"scales-{dtype}"}
    return out_features, in_features, group_size, flags, draw(scales((groups, out_features), dtype, kind)), dtype


@st.composite
def finished(
    draw: st.DrawFn,
    config: dict[str, Any],
    tensors: dict[str, Array],
    flags: set[str],
    out_features: int,
    named: str = "scales",
) -> Pack:
    """The module with a bias or without, and the dtype that is asked for; ``named`` is the tensor of the scales."""
    scale_dtype = tensors[named].dtype
    bias = draw(_BIASES)
    if bias != "none":
        tensors = tensors | {
            "bias": draw(scales((out_features,), scale_dtype, "zero" if bias == "zero" else "ordinary"))
        }
    dtype = draw(_OUTPUT_DTYPES)
    return Pack(config, tensors, frozenset(flags | {f"bias-{bias}", f"dtype-{dtype}"}), dtype)
