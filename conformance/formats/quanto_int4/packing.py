"""quanto's ``qint4`` and ``qint2``, packed and taken apart in NumPy.

Sources: optimum-quanto 0.2.7, ``tensor/packed.py`` (``pack_weights``), ``tensor/grouped.py``, ``tensor/qbits.py``
(``QBitsDequantizer``) and ``tensor/weights/qbits.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.rounding import nearest, odd_sum
from ..folder import INPUTS
from ..hqq.packing import Grouped, Zeroed
from ..parts import Config, Tensors
from ..quanto_int8 import packing as octets

WIDTHS = (4, 2)
CODES, SCALES, SHIFTS = f"{octets.CODES}._data", octets.SCALES, "weight._shift"
NARROW = {"qint4": 4, "int4": 4, "qint2": 2, "int2": 2}
_BYTE = 8


class Lowered(Zeroed):
    """``W = RN(RN(q * s) - z)``: codes, shifts and scales [out, in]; both rounded to ``dtype``. ``size`` is a group."""

    def dense(self, dtype: str | None) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):
            product = nearest(self.q * self.s, self.dtype).float64()
            sums = odd_sum(product, -self.z)
            found = nearest(np.where(np.isfinite(product), sums, product), self.dtype)
        return found if dtype in (None, self.dtype) else nearest(found.float64(), str(dtype))

    def triple(self) -> Lowest | None:
        """What MLX can hold, though it rounds once where the format rounds twice."""
        return None if self.size is None else Lowest(self)

    def formula(self, output: int, channel: int) -> str:
        q, z, s = (array[output, channel] for array in (self.q, self.z, self.s))
        return f"q * s - shift = {int(q)} * {float(s)!r} - {float(z)!r}"


class Lowest(Grouped):
    """Codes, and scales and offsets [groups, out] of neighbouring inputs."""

    def offsets(self) -> np.ndarray:
        return -self._z


def described(weights: str, inputs: int, activations: str | None = "none") -> dict[str, Any]:
    return {"quant_method": octets.METHOD, "weights": weights, "activations": activations, INPUTS: inputs}


def config(bits: int, group_size: int) -> dict[str, Any]:
    """Of a layer of one group an output, until it is known how many inputs there are."""
    return described(f"qint{bits}", group_size)


def config_of(config: Config, module: str) -> dict[str, Any]:
    return octets.config_of(config, module)


def completed(entries: Mapping[str, Any], model: Mapping[str, Any]) -> dict[str, Any]:
    """A map of modules with the inputs of layers that need it, which the ``config.json`` of a Llama or Qwen2 says."""
    heads = model["num_attention_heads"]
    of_heads = heads * (model.get("head_dim") or model["hidden_size"] // heads)
    own = {"o_proj": of_heads, "down_proj": model["intermediate_size"]}

    def inputs(module: str) -> int:
        return own.get(module.rpartition(".")[2], model["hidden_size"])

    return {
        name: said | {INPUTS: inputs(name)} if said["weights"] in NARROW else said for name, said in entries.items()
    }


def width(config: Config) -> int:
    return NARROW[config["weights"]]


def group_size(config: Config, in_features: int) -> int:
    """As quanto's own layers choose it."""
    if in_features > 128:
        return next((size for size in (128, 96, 64, 32) if in_features % size == 0), in_features)
    return in_features


def pack(codes: np.ndarray, zeros: np.ndarray, scales: Array, *, bits: int = 4) -> dict[str, Array]:
    """The module of codes [out, in], whole shifts and scales [groups, out]."""
    turned = Array(scales.dtype, np.ascontiguousarray(scales.bits.T))
    whole = nearest(np.ascontiguousarray(zeros.T).astype(np.float64), scales.dtype)
    return pack_floats(codes, whole, turned, bits=bits)


def pack_floats(codes: np.ndarray, shifts: Array, scales: Array, *, bits: int = 4) -> dict[str, Array]:
    """The tensors of codes [out, in], and one shift and scale a group, in row order."""
    groups = scales.bits.size
    return {
        CODES: packed(codes.reshape(groups, -1), bits),
        SCALES: Array(scales.dtype, scales.bits.reshape(-1, 1)),
        SHIFTS: Array(shifts.dtype, shifts.bits.reshape(-1, 1)),
    }


def packed(folded: np.ndarray, bits: int) -> Array:
    """Bytes of codes [groups, group]: the first rows in the lowest bits."""
    held = _BYTE // bits
    height = -(-len(folded) // held)
    rows = np.zeros((height * held, folded.shape[1]), np.int64)
    rows[: len(folded)] = folded
    planes = rows.reshape(held, height, -1) << (bits * np.arange(held)[:, None, None])
    return Array.of(planes.sum(axis=0).astype(np.uint8))


def parts(config: Config, tensors: Tensors) -> Lowered:
    """A sound module taken apart."""
    bits, groups = width(config), len(tensors[SCALES].bits)
    words = tensors[CODES].bits.astype(np.int64)
    planes = [(words >> place) & ((1 << bits) - 1) for place in range(0, _BYTE, bits)]
    codes = np.concatenate(planes)[:groups].reshape(-1, int(config[INPUTS]))
    return lowered(codes, tensors[SHIFTS], tensors[SCALES], bits=bits)


def lowered(codes: np.ndarray, shifts: Array, scales: Array, *, bits: int) -> Lowered:
    """Codes [out, in], and shifts and scales in the order of groups."""
    size = codes.size // scales.bits.size
    z, s = (np.repeat(array.float64().ravel(), size).reshape(codes.shape) for array in (shifts, scales))
    return Lowered(codes, z, s, scales.dtype, bits, size)
