"""What is wrong with any packed module in the same way: config values, missing tensors, scales, shapes and dtypes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..bits.array import Array
from .module import Refusal


def changed(array: Array, place: tuple[int, ...], bits: int) -> Array:
    """``array`` with one element replaced."""
    found = array.bits.copy()
    found[place] = bits
    return Array(array.dtype, found)


def without(tensors: dict[str, Array], name: str) -> dict[str, Array]:
    return {key: array for key, array in tensors.items() if key != name}


def words(rng: np.random.Generator, *shape: int) -> Array:
    return Array.of(rng.integers(-(2**31), 2**31, shape, dtype=np.int32))


def common(
    slug: str, config: dict[str, Any], tensors: dict[str, Array], weight: Array, widths: tuple[int, ...] = ()
) -> Iterator[Refusal]:
    """Of a sound module [64, 128] of 4 bits in groups of 32, whose ``weight`` a lenient reader may still give.

    ``widths`` are decoded under this config, but not of these shapes.
    """
    for bits in (1, 5, 6, 7, 16):
        code = "bad-shape" if bits in widths else "unsupported-bits"
        yield Refusal(f"{slug}-bits-{bits}", config | {"bits": bits}, tensors, code)
    yield Refusal(f"{slug}-group-size-0", config | {"group_size": 0}, tensors, "bad-config-value")
    yield Refusal(f"{slug}-group-size-text", config | {"group_size": "32"}, tensors, "bad-config-value", (weight,))
    yield Refusal(f"{slug}-group-size-contradicted", config | {"group_size": 64}, tensors, "bad-shape")
    yield Refusal(f"{slug}-bits-text", config | {"bits": "4"}, tensors, "bad-config-value", (weight,))
    yield Refusal(f"{slug}-two-group-sizes", config | {"q_group_size": 64}, tensors, "config-contradiction")
    for missing in ("qweight", "qzeros", "scales"):
        yield Refusal(f"{slug}-no-{missing}", config, without(tensors, missing), "missing-tensor")
    for label, pattern in (("nan", 0x7E00), ("infinity", 0x7C00), ("minus-infinity", 0xFC00), ("snan", 0xFD01)):
        broken = tensors | {"scales": changed(tensors["scales"], (2, 5), pattern)}
        yield Refusal(f"{slug}-scale-{label}", config, broken, "non-finite-scales")
    cut = Array("float16", tensors["scales"].bits[:-1])
    yield Refusal(f"{slug}-scales-a-row-short", config, tensors | {"scales": cut}, "bad-shape")
    cut = Array("int32", tensors["qzeros"].bits[:, :-1])
    yield Refusal(f"{slug}-qzeros-a-word-short", config, tensors | {"qzeros": cut}, "bad-shape")
    floats = Array.of(tensors["qweight"].bits.astype(np.float32))
    yield Refusal(f"{slug}-qweight-float", config, tensors | {"qweight": floats}, "bad-dtype")
    integers = Array.of(np.ones((4, 64), np.int32))
    yield Refusal(f"{slug}-scales-integer", config, tensors | {"scales": integers}, "unsupported-dtype")
    for axes, shape in (("one-axis", (-1,)), ("three-axes", (2, -1, tensors["qweight"].shape[1]))):
        folded = Array("int32", tensors["qweight"].bits.reshape(shape))
        yield Refusal(f"{slug}-qweight-{axes}", config, tensors | {"qweight": folded}, "bad-shape")
    # All of it fits together; there is only no output. A weight without rows is no guess.
    empty = {key: Array(array.dtype, array.bits[:, :0]) for key, array in tensors.items() if key != "g_idx"}
    nothing = Array("float16", np.zeros((0, 128), np.uint16))
    yield Refusal(f"{slug}-no-outputs", config, tensors | empty, "bad-shape", (nothing,))
