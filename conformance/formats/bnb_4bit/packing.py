"""bitsandbytes' 4 bits, packed and taken apart in NumPy: two codes a byte over the flattened matrix.

Sources: bitsandbytes 0.50.2, ``functional.py`` (``quantize_4bit``, ``QuantState``, ``get_4bit_type``), and
``backends/default/ops.py`` (``_dequantize_4bit_compute``).
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np

from ...bits.array import _BITS_OF, Array
from ..dialects import bitsandbytes as dialect
from ..parts import Config, Tensors
from ..scaled import Scaled

WIDTHS = (4,)
BLOCK, BLOCKS = 64, (32, 64, 128, 256, 512, 1024, 2048, 4096)
STATE = "weight.quant_state.bitsandbytes__"
OWN, MAP, OWN_MAP = "weight.nested_absmax", "weight.quant_map", "weight.nested_quant_map"
_NF4 = """-1 -0.6961928009986877 -0.5250730514526367 -0.39491748809814453 -0.28444138169288635 -0.18477343022823334
    -0.09105003625154495 0 0.07958029955625534 0.16093020141124725 0.24611230194568634 0.33791524171829224
    0.44070982933044434 0.5626170039176941 0.7229568362236023 1"""
_FP4 = np.array([0, 0.0625, 8, 12, 4, 6, 2, 3], np.float32) / np.float32(12)
# Numbers by their codes, each of them a float32.
VALUES = {
    "nf4": np.array(_NF4.split(), np.float32).astype(np.float64),
    "fp4": np.concatenate([_FP4, -_FP4]).astype(np.float64),
}
# Numbers for packed scales, of a map that every file brings along.
STEPS = ((np.arange(256) - 127) / 129).astype(np.float32)
Nested = tuple[np.ndarray, np.ndarray, float]


class Flat(Scaled):
    """``W = RN(RN32(values[q] * s))``: a scale for each ``block[1]`` weights of the flattened matrix."""

    def with_(self, **changes: Any) -> Flat:
        return replace(self, **changes)

    def spread(self, scales: np.ndarray) -> np.ndarray:
        return np.repeat(scales.ravel(), self.block[1])[: self.q.size].reshape(self.q.shape)

    def formula(self, output: int, channel: int) -> str:
        q, place = int(self.q[output, channel]), output * self.q.shape[1] + channel
        return f"value[q] * s = {float(self.values[q])!r} * {float(self.s.ravel()[place // self.block[1]])!r}"


def config(bits: int, group_size: int) -> dict[str, Any]:
    """The block is not in the config, but beside each weight."""
    return dialect.config("nf4")


def config_of(config: Config, module: str) -> dict[str, Any]:
    return dict(config)


def state(kind: str, block: int, dtype: str, shape: tuple[int, ...], **nested: Any) -> Array:
    """What bitsandbytes says of a module beside it, as bytes of JSON."""
    said = {"quant_type": kind, "blocksize": block, "dtype": dtype, "shape": list(shape)} | nested
    return described(json.dumps(said))


def described(text: str) -> Array:
    return Array.of(np.frombuffer(text.encode(), np.uint8).copy())


def pack(
    codes: np.ndarray,
    zeros: np.ndarray,
    scales: Array,
    *,
    bits: int = 4,
    kind: str = "nf4",
    block: int = BLOCK,
    dtype: str | None = None,
    storage: str = "uint8",
    nested: Nested | None = None,
    nested_block: int = 256,
) -> dict[str, Array]:
    """Codes [out, in] and scales of blocks; there are no zero points. ``nested`` are the numbers that bytes of scales
    stand for, their own scales, and an offset."""
    out, in_features = codes.shape
    flat = np.append(codes.ravel(), np.zeros(codes.size % 2, codes.dtype)).astype(np.uint8)
    octets = flat[::2] << 4 | flat[1::2]
    tensors = {
        "weight": Array(storage, octets.view(_BITS_OF[storage]).reshape(-1, 1)),
        "weight.absmax": Array(scales.dtype, scales.bits.reshape(-1)),
        MAP: Array.of(VALUES[kind].astype(np.float32)),
    }
    own = dtype or (scales.dtype if nested is None else "float32")
    if nested is None:
        return tensors | {STATE + kind: state(kind, block, own, (out, in_features))}
    steps, scaled, offset = nested
    said = {"nested_blocksize": nested_block, "nested_dtype": "float32", "nested_offset": offset}
    return tensors | {
        OWN: Array.of(scaled.astype(np.float32)),
        OWN_MAP: Array.of(steps.astype(np.float32)),
        STATE + kind: state(kind, block, own, (out, in_features), **said),
    }


def unpacked(stored: np.ndarray, nested: Nested, size: int = 256) -> np.ndarray:
    """Scales of blocks from their bytes: two float32 operations, each of them rounded."""
    steps, scaled, offset = nested
    own = np.repeat(scaled.astype(np.float32), size)[: stored.size]
    with np.errstate(over="ignore"):
        return (steps.astype(np.float32)[stored] * own + np.float32(offset)).astype(np.float64)


def said(tensors: Tensors) -> tuple[str, dict[str, Any]]:
    """The type of a module, and what its JSON says."""
    name = next(name for name in tensors if name.startswith(STATE))
    return name.removeprefix(STATE), json.loads(tensors[name].bits.tobytes())


def parts(config: Config, tensors: Tensors) -> Flat:
    """A sound module taken apart."""
    kind, own = said(tensors)
    shape, absmax = tuple(own["shape"]), tensors["weight.absmax"]
    octets = np.ascontiguousarray(tensors["weight"].bits).view(np.uint8).ravel()
    codes = np.stack([octets >> 4, octets & 15], axis=1).ravel()[: shape[0] * shape[1]].astype(np.int64)
    scales = absmax.float64()
    if "nested_offset" in own:
        steps, scaled = (tensors[name].float64() for name in (OWN_MAP, OWN))
        scales = unpacked(absmax.bits, (steps, scaled, own["nested_offset"]), own["nested_blocksize"])
    return Flat(codes.reshape(shape), VALUES[kind], scales, (1, own["blocksize"]), own["dtype"])


def group_size(config: Config, in_features: int) -> int:
    """What bitsandbytes takes where nobody asks for another block."""
    return BLOCK
