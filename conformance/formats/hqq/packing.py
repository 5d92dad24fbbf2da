"""HQQ, packed and taken apart in NumPy.

Sources: hqq 0.2.8.post1, ``core/bitpack.py``, ``core/utils.py`` (``encode_safetensor_type``) and ``core/quantize.py``
(``Quantizer``, ``HQQLinear.state_dict``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.rounding import nearest, odd_sum
from ..parts import Config, Tensors

METHOD, PARAMS = "hqq", "weight_quant_params"
WIDTHS = (4, 8, 3, 2, 1)
# By width of a code: what it is called, codes a word, and the dtype of a word.
PACKINGS: dict[int, tuple[str, int, str]] = {
    8: ("8bit_u8", 1, "uint8"),
    4: ("4bit_u8", 2, "uint8"),
    3: ("3bit_32", 10, "int32"),
    2: ("2bit_u8", 4, "uint8"),
    1: ("1bit_u8", 8, "uint8"),
}
# Widths as they are said, where a code takes another number of bits.
TAKEN = {6: 8, 5: 8, 1.58: 2}
_BYTES: dict[str, Any] = {"uint8": np.uint8, "int32": np.int32}


@dataclass(frozen=True)
class Zeroed:
    """``W = RN(RN(q - z) * s)``: codes ``q``, zero points ``z`` and scales ``s`` [out, in]; both rounded to ``dtype``.

    ``size`` is the number of inputs that share a scale, or None where groups are not along the inputs of an output.
    """

    q: np.ndarray
    z: np.ndarray
    s: np.ndarray
    dtype: str
    bits: int
    size: int | None

    def with_(self, **changes: Any) -> Zeroed:
        return replace(self, **changes)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.q.shape

    def dense(self, dtype: str | None) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):
            difference = nearest(odd_sum(self.q.astype(np.float64), -self.z), self.dtype).float64()
            found = nearest(difference * self.s, self.dtype)
        return found if dtype in (None, self.dtype) else nearest(found.float64(), str(dtype))

    def step(self) -> np.ndarray:
        return np.abs(self.s)

    def triple(self) -> Grouped | None:
        """What MLX can hold, though it rounds once where the format rounds twice."""
        return None if self.size is None else Grouped(self)

    def formula(self, output: int, channel: int) -> str:
        q, z, s = (array[output, channel] for array in (self.q, self.z, self.s))
        return f"(q - z) * s = ({int(q)} - {float(z)!r}) * {float(s)!r}"


class Grouped:
    """Codes, and scales and offsets [groups, out] of neighbouring inputs."""

    def __init__(self, found: Zeroed) -> None:
        assert found.size is not None
        self.q, self.bits, self.dtype = found.q, found.bits, found.dtype
        self.s, self._z = (array[:, :: found.size].T for array in (found.s, found.z))
        self.g = np.arange(found.shape[1]) // found.size

    def offsets(self) -> np.ndarray:
        return -self._z * self.s


def config(bits: float, group_size: int | None, axis: int = 1, as_float: bool = False) -> dict[str, Any]:
    """The plainest ``quantization_config``; ``group_size`` -1 is written as null."""
    size = None if group_size == -1 else group_size
    return {"quant_method": METHOD, "quant_config": settings(bits, size, axis, as_float), "skip_modules": ["lm_head"]}


def settings(bits: float, group_size: int | None, axis: int = 1, as_float: bool = False) -> dict[str, Any]:
    """What is said of one kind of layer."""
    own = {
        "nbits": bits,
        "channel_wise": True,
        "group_size": group_size,
        "optimize": True,
        "round_zero": bits == 4,
        "axis": axis,
        "view_as_float": as_float,
    }
    return {PARAMS: own, "scale_quant_params": None, "zero_quant_params": None, "offload_meta": False}


def config_of(config: Config, module: str) -> dict[str, Any]:
    """That of the tag of a module, where tags have their own: its name without ``model``, ``layers`` and numbers."""
    said = config["quant_config"]
    if PARAMS in said:
        return dict(config)
    tag = ".".join(part for part in module.split(".") if part not in ("model", "layers") and not part.isdigit())
    return dict(config) | {"quant_config": said[tag]}


def params(config: Config) -> Config:
    found: Any = config.get("quant_config") or {}
    own = found.get(PARAMS) if isinstance(found, dict) else None
    return own if isinstance(own, dict) else {}


def group_size(config: Config, in_features: int) -> int:
    size = params(config).get("group_size")
    return in_features if size is None else int(size)


def pack(codes: np.ndarray, zeros: np.ndarray, scales: Array, *, bits: int = 4) -> dict[str, Array]:
    """The plainest module of codes [out, in], and whole zero points and scales [groups, out]."""
    turned = Array(scales.dtype, np.ascontiguousarray(scales.bits.T))
    whole = nearest(np.ascontiguousarray(zeros.T).astype(np.float64), scales.dtype)
    return pack_floats(codes, whole, turned, bits=bits, group=codes.shape[1] // len(scales.bits))


def pack_floats(
    codes: np.ndarray,
    zeros: Array,
    scales: Array,
    *,
    bits: int = 4,
    group: int,
    axis: int = 1,
    as_float: bool = False,
    nbits: float | None = None,
) -> dict[str, Array]:
    """The tensors of codes [out, in], and zero points and scales, one a group, in row order of what is folded."""
    folded = codes.reshape((-1, group) if axis else (group, -1))
    name, _, word = PACKINGS[bits]
    words = packed(folded, bits)
    shape = (-1, 1) if axis else (1, -1)
    if as_float:
        kind = np.uint32 if scales.dtype == "float32" else np.uint16
        words = Array(scales.dtype, np.ascontiguousarray(words.bits).view(kind))
    said = bits if nbits is None else nbits
    return {
        "W_q": words,
        "scale": Array(scales.dtype, scales.bits.reshape(shape)),
        "zero": Array(zeros.dtype, zeros.bits.reshape(shape)),
        "shape": Array.of(np.array(codes.shape, np.int64)),
        "nbits": number(int(said))
        if said == int(said)
        else Array("float32", np.array(said, np.float32).view(np.uint32)),
        "group_size": number(group),
        "axis": number(axis),
        "packing": text(name),
        "unpack_view_dtype": text(f"torch.{word}"),
        "compute_dtype": text(f"torch.{scales.dtype}"),
        "view_as_float": flag(as_float),
        "quant_zero": flag(False),
        "quant_scale": flag(False),
        "channel_wise": flag(True),
        "optimize": flag(True),
        "round_zero": flag(False),
        "offload_meta": flag(False),
        "encoded_state_dict": flag(True),
        "stores_quant_config": flag(True),
    }


def text(value: str) -> Array:
    return Array.of(np.frombuffer(value.encode(), np.uint8).copy())


def number(value: int) -> Array:
    return Array("int32", np.array(value, np.int32))


def flag(value: bool) -> Array:
    return Array("uint8", np.array(value, np.uint8))


def packed(folded: np.ndarray, bits: int) -> Array:
    """Words of folded codes [rows, columns]; rows are filled up where words are of 3 bits."""
    _, count, word = PACKINGS[bits]
    height = -(-len(folded) // count)
    rows = np.zeros((height * count, folded.shape[1]), np.int64)
    rows[: len(folded)] = folded
    planes = rows.reshape(count, height, -1) << (bits * np.arange(count)[::-1, None, None])
    return Array.of(planes.sum(axis=0).astype(_BYTES[word]))


def parts(config: Config, tensors: Tensors) -> Zeroed:
    """A sound module taken apart, by what its tensors say of it."""
    name = tensors["packing"].bits.tobytes().decode()
    bits = next(bits for bits, (own, _, _) in PACKINGS.items() if own == name)
    _, count, word = PACKINGS[bits]
    out, inputs = (int(size) for size in tensors["shape"].bits)
    group, axis = int(tensors["group_size"].bits.item()), int(tensors["axis"].bits.item())
    columns = group if axis else out * inputs // group
    words = np.ascontiguousarray(tensors["W_q"].bits).view(_BYTES[word]).reshape(-1, columns).astype(np.int64)
    planes = [(words >> (bits * place)) & ((1 << bits) - 1) for place in reversed(range(count))]
    codes = np.concatenate(planes)[: out * inputs // columns].reshape(out, inputs)
    return zeroed(codes, tensors["zero"], tensors["scale"], bits=bits, group=group, axis=axis)


def zeroed(codes: np.ndarray, zeros: Array, scales: Array, *, bits: int, group: int, axis: int) -> Zeroed:
    """Codes [out, in], and zero points and scales in the order of what is folded."""
    rows = codes.size // group if axis else group
    folded, own = (rows, codes.size // rows), (-1, 1) if axis else (1, -1)
    z, s = (np.broadcast_to(a.float64().reshape(own), folded).reshape(codes.shape) for a in (zeros, scales))
    size = group if axis and codes.shape[1] % group == 0 else None
    return Zeroed(codes, z, s, scales.dtype, bits, size)
