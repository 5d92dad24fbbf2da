"""Planar GPTQ modules with one thing wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from .. import refusals as common
from ..draw import Draw
from ..module import Refusal
from .packing import BLOCKS, WIDTHS, config, pack, parts

SLUG = "gptq_planar"


def refusals() -> Iterator[Refusal]:
    draw = Draw(f"{SLUG}-refusals")
    plain = config(4, 32) | {"desc_act": True}
    g_idx = draw.shuffled(np.arange(128) // 32)
    numbers = draw.below(16, 64, 128), draw.below(16, 4, 64), draw.scales("float16", "ordinary", 4, 64), g_idx
    tensors = pack(*numbers, bits=4)
    yield from common.common(SLUG, plain, tensors, parts(plain, tensors).dense(None), WIDTHS)
    for bits in (0, 9, 64):
        yield Refusal(f"{SLUG}-bits-{bits}", plain | {"bits": bits}, tensors, "unsupported-bits")
    yield Refusal(f"{SLUG}-labels-disagree", plain | {"format": "gptq_v2"}, tensors, "config-contradiction")
    for bits in BLOCKS:
        yield from _of_width(bits)


def _of_width(bits: int) -> Iterator[Refusal]:
    draw, limit = Draw(f"{SLUG}-refusals-{bits}"), 1 << bits
    plain = config(bits, 32) | {"desc_act": True}
    g_idx = draw.shuffled(np.arange(128) // 32)
    numbers = draw.below(limit, 64, 128), draw.below(limit, 4, 64), draw.scales("float16", "ordinary", 4, 64), g_idx
    tensors = pack(*numbers, bits=bits)
    weight = parts(plain, tensors).dense(None)

    def one(id: str, code: str, given: dict[str, Array], *readings: Array, **settings: Any) -> Refusal:
        return Refusal(f"{SLUG}-{bits}bit-{id}", plain | settings, tensors | given, code, readings)

    for other in BLOCKS:
        if other != bits:
            yield one(f"named-{other}-bits", "bad-shape", {}, bits=other)
    for missing in ("qweight", "qzeros", "scales", "g_idx"):
        given = common.without(tensors, missing)
        yield Refusal(f"{SLUG}-{bits}bit-no-{missing}", plain, given, "missing-tensor")
    for label, value in (("too-large", 4), ("negative", -1)):
        broken = {"g_idx": common.changed(tensors["g_idx"], (77,), value)}
        yield one(f"g_idx-{label}", "group-index-out-of-range", broken)
    yield one("g_idx-short", "bad-shape", {"g_idx": Array("int32", tensors["g_idx"].bits[:-8])})
    # One input less takes as many words, and is no whole block.
    yield one("no-whole-block", "bad-shape", {"g_idx": Array("int32", tensors["g_idx"].bits[:-1])}, group_size=-1)
    narrow = {name: Array(array.dtype, array.bits[:, :40]) for name, array in tensors.items() if name != "g_idx"}
    narrow["qzeros"] = Array("int32", tensors["qzeros"].bits[:, : -(-40 * bits // 32)])
    yield one("no-whole-block-of-outputs", "bad-shape", narrow)
    cut = Array("int32", tensors["qweight"].bits[:-1])
    yield one("qweight-a-row-short", "bad-shape", {"qweight": cut})
    cut = Array("int32", tensors["qzeros"].bits[:, :-1])
    yield one("qzeros-a-word-short", "bad-shape", {"qzeros": cut})
    # GPTQModel has these words in no other size, and no reader for them.
    halves = {name: Array.of(np.ascontiguousarray(tensors[name].bits).view(np.int16)) for name in ("qweight", "qzeros")}
    yield one("words-of-16-bits", "bad-dtype", halves, pack_dtype="int16")
    yield one("scale-nan", "non-finite-scales", {"scales": common.changed(tensors["scales"], (2, 5), 0x7E00)})
    # At 3 bits version 2 has words of the same shape and another order, and nothing tells them apart: it is no case.
    if bits != 3:
        yield one("named-gptq", "unsupported-bits", {}, weight, checkpoint_format="gptq")
