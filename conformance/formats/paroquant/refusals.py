"""ParoQuant modules with one thing wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from .. import refusals as common
from ..draw import Draw
from ..module import Refusal
from .packing import ANGLES, COLUMNS, PAIRS, SLUG, config, laid, parts

PLAIN = config(4, 32, 2)


def refusals() -> Iterator[Refusal]:
    # [64, 128] in four groups of 32, turned twice.
    draw = Draw(f"{SLUG}-refusals")
    pairs = np.argsort(draw.below(2**62, 2, 4, 32), axis=2, kind="stable").reshape(2, -1, 2)
    turns = Array.of(((draw.below(6000, 2, 64) - 3000) / 1000).astype(np.float16))
    columns = Array.of(((draw.below(1 << 11, 128) + 256) / 1024).astype(np.float16))
    codes, scales = draw.below(16, 64, 128), draw.scales("float16", "ordinary", 4, 64)
    tensors = laid(codes, draw.below(16, 4, 64), scales, pairs, turns, columns)
    weight = parts(PLAIN, tensors).dense(None)
    yield from common.common(SLUG, PLAIN, tensors, weight)

    def one(id: str, code: str, given: dict[str, Array], *readings: Array, **settings: Any) -> Refusal:
        return Refusal(f"{SLUG}-{id}", PLAIN | settings, tensors | given, code, readings)

    for missing in (PAIRS, ANGLES, COLUMNS):
        yield Refusal(f"{SLUG}-no-{missing}", PLAIN, common.without(tensors, missing), "missing-tensor")
    bare = {name: tensors[name] for name in ("qweight", "qzeros", "scales")}
    yield Refusal(f"{SLUG}-of-awq", PLAIN, bare, "missing-tensor")
    for name, place in ((ANGLES, (1, 7)), (COLUMNS, (0, 7))):
        for label, pattern in (("nan", 0x7E00), ("infinity", 0x7C00), ("minus-infinity", 0xFC00)):
            broken = common.changed(tensors[name], place, pattern)
            yield one(f"{name}-{label}", "non-finite-scales", {name: broken})
        yield one(f"{name}-integer", "unsupported-dtype", {name: Array.of(tensors[name].bits.view(np.int16))})
        short = Array("float16", np.ascontiguousarray(tensors[name].bits[:, :-1]))
        yield one(f"{name}-one-short", "bad-shape", {name: short})
    turned = Array("float16", np.ascontiguousarray(tensors[ANGLES].bits.T))
    yield one("angles-transposed", "bad-shape", {ANGLES: turned})
    yield one("angles-of-one-axis", "bad-shape", {ANGLES: Array("float16", tensors[ANGLES].bits.reshape(-1))})
    yield one("angles-of-no-rotation", "bad-shape", {ANGLES: Array("float16", tensors[ANGLES].bits[:0])})
    yield one("columns-of-outputs", "bad-shape", {COLUMNS: Array("float16", tensors[COLUMNS].bits[:, :64].copy())})
    stored = tensors[PAIRS].bits
    for dtype in (np.int32, np.int64):
        yield one(f"pairs-{np.dtype(dtype).name}", "bad-dtype", {PAIRS: Array.of(stored.astype(dtype))})
    yield one("pairs-one-rotation", "bad-shape", {PAIRS: Array.of(stored[:1].copy())})
    yield one("pairs-one-short", "bad-shape", {PAIRS: Array.of(np.ascontiguousarray(stored[:, :-1]))})
    yield one("pairs-of-three-axes", "bad-shape", {PAIRS: Array.of(stored.reshape(2, 64, 2))})
    for label, value in (("negative", -1), ("of-the-next-group", 32), ("beyond", 32767), ("least", -32768)):
        yield one(f"pair-{label}", "group-index-out-of-range", {PAIRS: common.changed(tensors[PAIRS], (1, 40), value)})
    # Upstream's own readers part on these: which of two values of an input is kept depends on the device.
    twice = common.changed(tensors[PAIRS], (0, 3), int(stored[0, 8]))
    yield one("pair-in-use", "group-index-out-of-range", {PAIRS: twice})
    yield one(
        "pair-of-itself", "group-index-out-of-range", {PAIRS: common.changed(tensors[PAIRS], (0, 3), int(stored[0, 2]))}
    )
    padded = stored.copy()
    padded[:, 30:32] = -1
    yield one("pairs-padded", "group-index-out-of-range", {PAIRS: Array.of(padded)})
    for value in (1, 3, 8):
        yield one(f"krot-{value}", "bad-shape", {}, weight, krot=value)
    for label, other in (("zero", 0), ("negative", -1), ("text", "2"), ("true", True), ("float", 2.0), ("list", [2])):
        yield one(f"krot-{label}", "bad-config-value", {}, weight, krot=other)
    for label in ("gemm", "gptq", "never-heard-of"):
        yield one(f"labelled-{label}", "unsupported-layout", {}, weight, checkpoint_format=label)
    yield one("with-g_idx", "unexpected-tensor", {"g_idx": Array.of(np.arange(128, dtype=np.int32) // 32)}, weight)
    odd = {
        "qweight": Array("int32", tensors["qweight"].bits[:120].copy()),
        "qzeros": Array("int32", np.resize(tensors["qzeros"].bits, (8, 8))),
        "scales": Array("float16", np.resize(scales.bits, (8, 64))),
    }
    yield one("groups-of-15", "bad-shape", odd, group_size=15)
