"""Modules of quanto's narrow codes with one thing wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from .. import refusals as common
from ..draw import Draw
from ..folder import INPUTS
from ..module import Refusal
from .packing import CODES, SCALES, SHIFTS, described, pack_floats


def refusals() -> Iterator[Refusal]:
    draw, plain = Draw("quanto_int4-refusals"), described("qint4", 128)
    scales, shifts = draw.scales("float16", "ordinary", 256), draw.scales("float16", "ordinary", 256)
    tensors = pack_floats(draw.below(16, 64, 128), shifts, scales)

    def refusal(id: str, code: str, config: dict[str, Any] | None = None, /, **changed: Array) -> Refusal:
        return Refusal(f"quanto_int4-{id}", plain if config is None else config, tensors | changed, code)

    for name in (CODES, SCALES, SHIFTS):
        yield Refusal(f"quanto_int4-no-{name}", plain, common.without(tensors, name), "missing-tensor")
    for label, pattern in (("nan", 0x7E00), ("infinity", 0x7C00), ("minus-infinity", 0xFC00), ("snan", 0xFD01)):
        for name in (SCALES, SHIFTS):
            broken = common.changed(tensors[name], (5, 0), pattern)
            yield refusal(f"{name}-{label}", "non-finite-scales", **{name: broken})
    for name in (SCALES, SHIFTS):
        stored = tensors[name].bits
        for label, bits in (
            ("turned", stored.T.copy()),
            ("of-one-axis", stored[:, 0]),
            ("short", stored[:254]),
            ("of-two-columns", np.repeat(stored, 2, axis=1)),
        ):
            yield refusal(f"{name}-{label}", "bad-shape", **{name: Array("float16", bits)})
        yield refusal(f"{name}-integer", "unsupported-dtype", **{name: Array.of(np.ones((256, 1), np.int32))})
    # Zero points of codes, which quanto reads, and no layer of it packs.
    yield refusal("zero-points", "unsupported-dtype", **{SHIFTS: Array.of(np.full((256, 1), 8, np.uint8))})
    yield refusal("shifts-of-another-dtype", "bad-dtype", **{SHIFTS: Array.of(np.ones((256, 1), np.float32))})
    codes = tensors[CODES].bits
    yield refusal("codes-of-32-bits", "bad-dtype", **{CODES: Array.of(codes.astype(np.int32))})
    yield refusal("codes-of-three-axes", "bad-shape", **{CODES: Array.of(codes.reshape(2, 64, 32))})
    yield refusal("codes-a-row-short", "bad-shape", **{CODES: Array.of(codes[:-1])})
    yield refusal("codes-a-column-short", "bad-shape", **{CODES: Array.of(np.ascontiguousarray(codes[:, :-1]))})
    yield refusal("no-groups", "bad-shape", **{CODES: Array.of(codes[:0])})
    yield refusal("labelled-2-bits", "bad-shape", described("qint2", 128))
    yield refusal("with-g_idx", "unexpected-tensor", g_idx=Array.of(np.arange(128, dtype=np.int32) // 32))
    for label, inputs in (("48", 48), ("96", 96), ("16384", 16384), ("huge", 2**62)):
        yield refusal(f"inputs-{label}", "bad-shape", described("qint4", inputs))
    unknown = {key: value for key, value in plain.items() if key != INPUTS}
    yield refusal("inputs-unknown", "unsupported-layout", unknown)
    for value in (0, -128, 128.0, "128", True, [64, 128]):
        label = "list" if isinstance(value, list) else str(value)
        yield refusal(f"inputs-bad-{label}", "bad-config-value", plain | {INPUTS: value})
