"""Modules in narrow words with one thing wrong."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from ...bits.array import Array
from .. import refusals as common
from ..draw import Draw
from ..module import Refusal
from .packing import WIDTHS, WORDS, config, pack, parts

SLUG = "gptq_narrow"


def refusals() -> Iterator[Refusal]:
    for word in WORDS:
        yield from _of_word(word)
    # GPTQModel has int64 as a name, and no layer that packs or reads it.
    draw = Draw(f"{SLUG}-refusals-int64")
    numbers = draw.below(16, 64, 128), draw.below(16, 4, 64), draw.scales("float16", "ordinary", 4, 64)
    narrow = pack(*numbers, word="int16")
    weight = parts(config(4, 32, "int16"), narrow).dense(None)
    rows = np.ascontiguousarray(narrow["qweight"].bits.T).view(np.int64).T
    long = {"qweight": Array.of(np.ascontiguousarray(rows)), "qzeros": Array.of(narrow["qzeros"].bits.view(np.int64))}
    yield Refusal(
        f"{SLUG}-int64", config(4, 32, "int64"), long | {"scales": numbers[2]}, "unsupported-dtype", (weight,)
    )


def _of_word(word: str) -> Iterator[Refusal]:
    draw, slug = Draw(f"{SLUG}-refusals-{word}"), SLUG if word == "int8" else f"{SLUG}-{word}"
    plain = config(4, 32, word) | {"desc_act": True}
    g_idx = draw.shuffled(np.arange(128) // 32)
    numbers = draw.below(16, 64, 128), draw.below(16, 4, 64), draw.scales("float16", "ordinary", 4, 64), g_idx
    tensors = pack(*numbers, word=word)
    weight = parts(plain, tensors).dense(None)

    def one(id: str, code: str, given: dict[str, Array], *readings: Array, **settings: Any) -> Refusal:
        return Refusal(f"{slug}-{id}", plain | settings, tensors | given, code, readings)

    # No field crosses a word, and fields of 3 bits fill none: GPTQModel's packer falls over them.
    for bits in (0, 1, 3, 5, 6, 7, 16):
        yield one(f"bits-{bits}", "unsupported-bits", {}, bits=bits)
    for bits in WIDTHS[1:]:
        yield one(f"bits-contradicted-{bits}", "bad-shape", {}, bits=bits)
    yield one("bits-text", "bad-config-value", {}, weight, bits="4")
    yield one("group-size-0", "bad-config-value", {}, group_size=0)
    yield one("group-size-text", "bad-config-value", {}, weight, group_size="32")
    yield one("group-size-contradicted", "bad-shape", {}, group_size=64)
    yield one("two-group-sizes", "config-contradiction", {}, q_group_size=64)
    yield one("labels-disagree", "config-contradiction", {}, format="gptq_v2")
    for label, value in (("int4", "int4"), ("uint32", "uint32"), ("number", 8), ("true", True), ("list", [word])):
        yield one(f"pack_dtype-{label}", "bad-config-value", {}, weight, pack_dtype=value)
    for missing in ("qweight", "qzeros", "scales", "g_idx"):
        yield Refusal(f"{slug}-no-{missing}", plain, common.without(tensors, missing), "missing-tensor")
    for label, pattern in (("nan", 0x7E00), ("infinity", 0x7C00), ("minus-infinity", 0xFC00), ("snan", 0xFD01)):
        broken = {"scales": common.changed(tensors["scales"], (2, 5), pattern)}
        yield one(f"scale-{label}", "non-finite-scales", broken)
    yield one("scales-a-row-short", "bad-shape", {"scales": Array("float16", tensors["scales"].bits[:-1])})
    yield one("scales-a-column-short", "bad-shape", {"scales": Array("float16", tensors["scales"].bits[:, :-1])})
    yield one("scales-integer", "unsupported-dtype", {"scales": Array.of(np.ones((4, 64), np.int32))})
    yield one("scales-one-axis", "bad-shape", {"scales": Array("float16", tensors["scales"].bits[0])})
    for name, axis in product(("qweight", "qzeros"), (0, 1)):
        cut = tensors[name].bits[:-1] if axis == 0 else np.ascontiguousarray(tensors[name].bits[:, :-1])
        yield one(f"{name}-{'row' if axis == 0 else 'column'}-short", "bad-shape", {name: Array(word, cut)})
    for name in ("qweight", "qzeros"):
        floats = Array.of(tensors[name].bits.astype(np.float32))
        yield one(f"{name}-float", "bad-dtype", {name: floats})
    for axes, shape in (("one-axis", (-1,)), ("three-axes", (2, -1, 64))):
        yield one(f"qweight-{axes}", "bad-shape", {"qweight": Array(word, tensors["qweight"].bits.reshape(shape))})
    for label, value in (("too-large", 4), ("far-too-large", 2**31 - 1), ("negative", -1)):
        broken = {"g_idx": common.changed(tensors["g_idx"], (77,), value)}
        yield one(f"g_idx-{label}", "group-index-out-of-range", broken)
    yield one("g_idx-short", "bad-shape", {"g_idx": Array("int32", tensors["g_idx"].bits[:-8])})
    yield one("g_idx-two-axes", "bad-shape", {"g_idx": Array("int32", tensors["g_idx"].bits.reshape(2, -1))})
    empty = {key: Array(array.dtype, array.bits[:, :0]) for key, array in tensors.items() if key != "g_idx"}
    yield one("no-outputs", "bad-shape", empty, Array("float16", np.zeros((0, 128), np.uint16)))
