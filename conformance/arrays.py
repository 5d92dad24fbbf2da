"""Arrays that belong to no framework: a dtype name and the bits, so that bfloat16 and -0.0 survive every crossing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, cast

import numpy as np
from safetensors import deserialize

# numpy has no bfloat16; its bits travel as uint16.
_BITS_OF = {
    "float16": np.uint16,
    "bfloat16": np.uint16,
    "float32": np.uint32,
    "int32": np.int32,
    "int64": np.int64,
    "uint8": np.uint8,
    "uint32": np.uint32,
}
_SAFETENSORS = {
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "I32": "int32",
    "I64": "int64",
    "U8": "uint8",
    "U32": "uint32",
}
FLOATS = ("float16", "bfloat16", "float32")
FRAMEWORKS = ("mlx", "torch", "numpy", "array")


@dataclass(frozen=True, eq=False)
class Array:
    """``bits`` holds the elements of ``dtype`` as integers of the same width and the same shape."""

    dtype: str
    bits: np.ndarray

    def __post_init__(self) -> None:
        if self.bits.dtype != _BITS_OF[self.dtype]:
            raise TypeError(f"{self.dtype} is stored as {_BITS_OF[self.dtype].__name__}, not {self.bits.dtype}")

    @property
    def shape(self) -> tuple[int, ...]:
        return self.bits.shape

    def __repr__(self) -> str:
        return f"Array({self.dtype}{list(self.shape)})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))

    def float64(self) -> np.ndarray:
        """The values, for reports; every float16, bfloat16 and float32 is a float64."""
        with np.errstate(invalid="ignore"):  # of signalling NaNs
            if self.dtype == "bfloat16":
                return (self.bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
            if self.dtype in FLOATS:
                return self.bits.view(self.dtype).astype(np.float64)
        return self.bits.astype(np.float64)

    def sha256(self) -> str:
        """Of the elements in row order, little-endian."""
        return sha256(np.ascontiguousarray(self.bits, self.bits.dtype.newbyteorder("<")).tobytes()).hexdigest()

    @classmethod
    def of(cls, values: np.ndarray) -> Array:
        """From a numpy array of a numpy dtype (not bfloat16)."""
        return cls(values.dtype.name, np.ascontiguousarray(values).view(_BITS_OF[values.dtype.name]))

    def widened(self) -> Array:
        """As float32, exactly."""
        return self if self.dtype not in FLOATS else Array.of(self.float64().astype(np.float32))


def to_framework(array: Array, framework: str) -> Any:
    if framework == "array":
        return array
    if framework == "numpy":
        return array.bits if array.dtype == "bfloat16" else array.bits.view(array.dtype)
    if framework == "torch":
        import torch

        return torch.from_numpy(array.bits.copy()).view(getattr(torch, array.dtype))
    import mlx.core as mx

    return mx.array(array.bits).view(getattr(mx, array.dtype))


def from_framework(value: Any, framework: str) -> Array:
    if framework == "array":
        return cast(Array, value)
    if framework == "numpy":
        return Array.of(np.asarray(value))
    dtype = str(value.dtype).rpartition(".")[2]
    bits = np.dtype(_BITS_OF[dtype])
    if framework == "torch":
        import torch

        integer = {2: torch.int16, 4: torch.int32}.get(bits.itemsize)
        raw = value.detach().cpu().contiguous()
        return Array(dtype, (raw.view(integer) if dtype in FLOATS else raw).numpy().view(bits))
    import mlx.core as mx

    raw = value.view({2: mx.uint16, 4: mx.uint32}[bits.itemsize]) if dtype in FLOATS else value
    return Array(dtype, np.array(raw).view(bits))


def dtype_of(framework: str, name: str | None) -> Any:
    if name is None or framework in ("numpy", "array"):
        return name
    if framework == "torch":
        import torch

        return getattr(torch, name)
    import mlx.core as mx

    return getattr(mx, name)


def read_safetensors(data: bytes) -> dict[str, Array]:
    """Every tensor of a safetensors file; KeyError for a dtype the suite has no use for."""
    tensors = {}
    for name, entry in deserialize(data):
        dtype = _SAFETENSORS[entry["dtype"]]
        tensors[name] = Array(dtype, np.frombuffer(entry["data"], dtype=_BITS_OF[dtype]).reshape(entry["shape"]))
    return tensors


def write_safetensors(tensors: Mapping[str, Array]) -> bytes:
    """A safetensors file; what safetensors itself writes from differs from release to release."""
    names = {dtype: name for name, dtype in _SAFETENSORS.items()}
    header, parts, end = {}, [], 0
    for name, array in tensors.items():
        data = np.ascontiguousarray(array.bits, array.bits.dtype.newbyteorder("<")).tobytes()
        header[name] = {"dtype": names[array.dtype], "shape": array.shape, "data_offsets": (end, end + len(data))}
        parts.append(data)
        end += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *parts])
