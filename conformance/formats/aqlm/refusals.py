"""Modules of AQLM with one thing wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from .. import refusals as common
from ..draw import Draw
from ..module import Refusal
from .packing import BITS, BOOKS, CODES, COLUMNS, NUMBER, ROWS, SCALES, config, laid


def refusals() -> Iterator[Refusal]:
    shape: tuple[int, ...]
    value: Any
    draw, plain = Draw("aqlm-refusals"), config(6, books=2)
    codes, scales = draw.below(64, 32, 6, 2), draw.scales("float16", "ordinary", 32)
    tensors = laid(codes, draw.scales("float16", "ordinary", 2, 64, 1, 8), scales, 6)

    def refusal(id: str, code: str, config: dict[str, Any] | None = None, /, **changed: Array) -> Refusal:
        return Refusal(f"aqlm-{id}", plain if config is None else config, tensors | changed, code)

    for label, pattern in (("nan", 0x7E00), ("infinity", 0x7C00), ("minus-infinity", 0xFC00)):
        broken = common.changed(tensors[SCALES], (7, 0, 0, 0), pattern)
        yield refusal(f"scale-{label}", "non-finite-scales", **{SCALES: broken})
        broken = common.changed(tensors[BOOKS], (1, 40, 0, 3), pattern)
        yield refusal(f"entry-{label}", "non-finite-scales", **{BOOKS: broken})
    for name in (CODES, BOOKS, SCALES):
        yield Refusal(f"aqlm-no-{name}", plain, common.without(tensors, name), "missing-tensor")
    yield refusal("zero-points", "unexpected-tensor", qzeros=Array.of(np.zeros((32, 1), np.int32)))
    column = tensors[SCALES].bits
    for label, shape in (("short", (31, 1, 1, 1)), ("of-groups", (32, 6, 1, 1)), ("of-one-axis", (32,))):
        yield refusal(f"scales-{label}", "bad-shape", **{SCALES: Array("float16", np.resize(column, shape))})
    wide = Array.of(tensors[SCALES].float64().astype(np.float32))
    yield refusal("scales-float32", "bad-dtype", **{SCALES: wide})
    yield refusal("codebooks-float32", "bad-dtype", **{BOOKS: Array.of(tensors[BOOKS].float64().astype(np.float32))})
    yield refusal("codebooks-integer", "unsupported-dtype", **{BOOKS: Array.of(np.ones((2, 64, 1, 8), np.int32))})
    books = tensors[BOOKS].bits
    for label, shape in (
        ("of-half", (2, 32, 1, 8)),
        ("one-less", (1, 64, 1, 8)),
        ("turned", (2, 64, 8, 1)),
        ("of-three-axes", (2, 64, 8)),
    ):
        cut = Array("float16", np.ascontiguousarray(np.resize(books, shape)))
        yield refusal(f"codebooks-{label}", "bad-shape", **{BOOKS: cut})
    stored = tensors[CODES].bits
    for dtype in ("int16", "int32", "uint8"):
        yield refusal(
            f"codes-{dtype}",
            "bad-dtype",
            **{CODES: Array.of(stored.astype(dtype) if dtype != "uint8" else stored.view(np.uint8))},
        )
    for label, folded in (
        ("two-axes", stored.reshape(32, -1)),
        ("turned", stored.swapaxes(0, 1)),
        ("of-one-codebook", stored[..., :1]),
        ("of-three", np.concatenate([stored, stored[..., :1]], axis=2)),
        ("no-rows", stored[:0]),
        ("no-columns", stored[:, :0]),
    ):
        yield refusal(f"codes-{label}", "bad-shape", **{CODES: Array.of(np.ascontiguousarray(folded))})
    for bits in (17, 24, 32, 64):
        yield refusal(f"bits-{bits}", "unsupported-bits", plain | {BITS: bits})
    for key, value in ((BITS, 5), (NUMBER, 1), (ROWS, 2), (COLUMNS, 16)):
        yield refusal(f"{key}-contradicted", "bad-shape", plain | {key: value})
    for key in (BITS, NUMBER, ROWS, COLUMNS):
        for label, value in (("zero", 0), ("negative", -1), ("text", "2"), ("null", None), ("true", True)):
            yield refusal(f"{key}-{label}", "bad-config-value", plain | {key: value})
        yield refusal(f"{key}-list", "bad-config-value", plain | {key: [2]})
    for key in (NUMBER, ROWS, COLUMNS):
        yield refusal(f"{key}-beyond", "bad-shape", plain | {key: 1 << 70})
