"""Arrays that belong to no framework: a dtype name and the bits, so that bfloat16 and -0.0 survive every crossing."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from .floats import TABLES

# numpy has no bfloat16; its bits travel as uint16.
_BITS_OF = {
    name: np.dtype(stored)
    for name, stored in {
        "float16": np.uint16,
        "bfloat16": np.uint16,
        "float32": np.uint32,
        "int8": np.int8,
        "int16": np.int16,
        "int32": np.int32,
        "int64": np.int64,
        "uint8": np.uint8,
        "uint32": np.uint32,
        "float8_e4m3fn": np.uint8,
        "float8_e8m0fnu": np.uint8,
    }.items()
}
# The names of numpy's own: asking a dtype for its name takes longer than all else that is done with a small array.
_NAMES = {np.dtype(name): name for name in _BITS_OF if hasattr(np, name)}
FLOATS = ("float16", "bfloat16", "float32")


@dataclass(frozen=True, eq=False)
class Array:
    """``bits`` holds the elements of ``dtype`` as integers of the same width and the same shape."""

    dtype: str
    bits: np.ndarray

    def __post_init__(self) -> None:
        if self.bits.dtype != _BITS_OF[self.dtype]:
            raise TypeError(f"{self.dtype} is stored as {_BITS_OF[self.dtype].name}, not {self.bits.dtype}")

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
            if self.dtype in TABLES:
                return TABLES[self.dtype][self.bits]
            if self.dtype in FLOATS:
                return self.bits.view(self.dtype).astype(np.float64)
        return self.bits.astype(np.float64)

    def sha256(self) -> str:
        """Of the elements in row order, little-endian."""
        return sha256(np.ascontiguousarray(self.bits, self.bits.dtype.newbyteorder("<")).tobytes()).hexdigest()

    @classmethod
    def of(cls, values: np.ndarray) -> Array:
        """From a numpy array of a numpy dtype (not bfloat16)."""
        name = _NAMES[values.dtype]
        return cls(name, np.ascontiguousarray(values).view(_BITS_OF[name]))

    def widened(self) -> Array:
        """As float32, exactly."""
        return self if self.dtype not in FLOATS else Array.of(self.float64().astype(np.float32))
