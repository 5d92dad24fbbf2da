"""``int-quantized`` modules with one thing wrong."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...bits.array import Array
from ..dialects import compressed_tensors as dialect
from ..module import Refusal
from ..refusals import changed, without
from .packing import FORMAT, config, pack


def refusals() -> Iterator[Refusal]:
    rng = np.random.default_rng(13)
    plain = config(8, 32)
    scales = Array.of((rng.random((4, 64)) * 0.01).astype(np.float16))
    tensors = pack(rng.integers(0, 256, (64, 128)), rng.integers(0, 256, (4, 64)), scales)
    for missing in ("weight", "weight_scale", "weight_zero_point"):
        yield Refusal(f"ct_int-no-{missing}", plain, without(tensors, missing), "missing-tensor")
    for bits in (1, 9):
        other = dialect.config(FORMAT, bits, 32)
        yield Refusal(f"ct_int-bits-{bits}", other, tensors, "unsupported-bits")
    yield Refusal("ct_int-group-size-contradicted", config(8, 64), tensors, "bad-shape")
    yield Refusal(
        "ct_int-strategy-block", dialect.config(FORMAT, 8, 32, strategy="block"), tensors, "unsupported-layout"
    )
    for label, pattern in (("nan", 0x7E00), ("infinity", 0x7C00)):
        broken = tensors | {"weight_scale": changed(tensors["weight_scale"], (5, 2), pattern)}
        yield Refusal(f"ct_int-scale-{label}", plain, broken, "non-finite-scales")
    for name in ("weight_scale", "weight_zero_point"):
        turned = Array(tensors[name].dtype, tensors[name].bits.T.copy())
        yield Refusal(f"ct_int-{name}-turned", plain, tensors | {name: turned}, "bad-shape")
    wide = Array.of(tensors["weight"].bits.astype(np.int32))
    yield Refusal("ct_int-codes-of-32-bits", plain, tensors | {"weight": wide}, "bad-dtype")
    integers = Array.of(np.ones((64, 4), np.int32))
    yield Refusal("ct_int-scales-integer", plain, tensors | {"weight_scale": integers}, "unsupported-dtype")
    g_idx = Array.of(np.arange(128, dtype=np.int32) // 32)
    yield Refusal("ct_int-with-g_idx", plain, tensors | {"weight_g_idx": g_idx}, "unexpected-tensor")
