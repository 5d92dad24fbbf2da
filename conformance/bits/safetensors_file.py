"""safetensors files, read and written byte for byte."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
from safetensors import deserialize

from .array import _BITS_OF, Array

_SAFETENSORS = {
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "U8": "uint8",
    "U32": "uint32",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E8M0": "float8_e8m0fnu",
}
DTYPES = tuple(_SAFETENSORS.values())


def read_safetensors(data: bytes) -> dict[str, Array]:
    """Every tensor of a safetensors file; KeyError for a dtype the suite has no use for."""
    tensors = {}
    for name, entry in deserialize(data):
        dtype = _SAFETENSORS[entry["dtype"]]
        tensors[name] = Array(dtype, np.frombuffer(entry["data"], dtype=_BITS_OF[dtype]).reshape(entry["shape"]))
    return tensors


def read_metadata(data: bytes) -> dict[str, str]:
    """The ``__metadata__`` of a safetensors file."""
    size = int.from_bytes(data[:8], "little")
    return dict(json.loads(data[8 : 8 + size]).get("__metadata__") or {})


def write_safetensors(tensors: Mapping[str, Array], metadata: Mapping[str, str] | None = None) -> bytes:
    """A safetensors file; what safetensors itself writes from differs from release to release."""
    names = {dtype: name for name, dtype in _SAFETENSORS.items()}
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    parts, end = [], 0
    for name, array in tensors.items():
        data = np.ascontiguousarray(array.bits, array.bits.dtype.newbyteorder("<")).tobytes()
        header[name] = {"dtype": names[array.dtype], "shape": array.shape, "data_offsets": (end, end + len(data))}
        parts.append(data)
        end += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *parts])


def blank(dtype: str, shape: tuple[int, ...]) -> Array:
    """Zeros of the dtype that a header names, of any size. KeyError as :func:`read_safetensors`."""
    named = _SAFETENSORS[dtype]
    return Array(named, np.broadcast_to(np.zeros((), _BITS_OF[named]), shape))
