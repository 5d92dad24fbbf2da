"""Modules of quanto's bytes with one thing wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from .. import refusals as common
from ..module import Refusal
from .packing import CODES, METHOD, SCALES, described, pack


def refusals() -> Iterator[Refusal]:
    value: Any
    rng = np.random.default_rng(29)
    scales = Array.of((rng.random((1, 64)) * 0.01).astype(np.float16))
    plain, tensors = described(), pack(rng.integers(0, 256, (64, 128)), scales.bits, scales)

    def refusal(id: str, code: str, config: dict[str, Any] | None = None, /, **changed: Array) -> Refusal:
        return Refusal(f"quanto_int8-{id}", plain if config is None else config, tensors | changed, code)

    for name in (CODES, SCALES):
        yield Refusal(f"quanto_int8-no-{name}", plain, common.without(tensors, name), "missing-tensor")
    for label, pattern in (("nan", 0x7E00), ("infinity", 0x7C00)):
        broken = common.changed(tensors[SCALES], (5, 0), pattern)
        yield refusal(f"scale-{label}", "non-finite-scales", **{SCALES: broken})
    stored = tensors[SCALES].bits
    for label, bits in (("turned", stored.T.copy()), ("of-one-axis", stored[:, 0]), ("short", stored[:63])):
        yield refusal(f"scales-{label}", "bad-shape", **{SCALES: Array("float16", bits)})
    yield refusal("scales-integer", "unsupported-dtype", **{SCALES: Array.of(np.ones((64, 1), np.int32))})
    codes = tensors[CODES].bits
    yield refusal("codes-of-32-bits", "bad-dtype", **{CODES: Array.of(codes.astype(np.int32))})
    yield refusal("codes-unsigned", "bad-dtype", **{CODES: Array.of(codes.view(np.uint8))})
    yield refusal("codes-of-three-axes", "bad-shape", **{CODES: Array.of(codes.reshape(2, 32, 128))})
    yield refusal("no-outputs", "bad-shape", **{CODES: Array.of(codes[:0])})
    yield refusal("shift", "unexpected-tensor", **{"weight._shift": Array("float16", stored)})
    for weights in ("qint2", "qint4", "int4", "qfloat8", "qfloat8_e4m3fn", "qfloat8_e5m2", "qint3"):
        # Types that are decoded of other tensors.
        code = "bad-dtype" if weights in ("qfloat8", "qfloat8_e4m3fn") else "unsupported-layout"
        yield refusal(f"weights-{weights}", code, described(weights))
    for label, value in (("absent", None), ("number", 8), ("list", ["qint8"])):
        yield refusal(f"weights-{label}", "bad-config-value", plain | {"weights": value})
    for label, value in (
        ("empty", {}),
        ("text", "qint8"),
        ("of-texts", {"": "qint8"}),
        ("without-weights", {"": {"activations": "none"}}),
    ):
        other = {"quant_method": METHOD, "quantization_map": value}
        yield refusal(f"map-{label}", "bad-config-value", other)
