"""A packed module as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..bits.array import Array


@dataclass(frozen=True)
class Pack:
    """One generated module: a checkpoint's ``quantization_config`` and its tensors, with the flags drawn."""

    config: dict[str, Any]
    tensors: dict[str, Array]
    flags: frozenset[str]
    dtype: str | None

    def __repr__(self) -> str:
        shapes = {name: list(array.shape) for name, array in self.tensors.items()}
        return f"Pack({self.config}, {shapes}, {sorted(self.flags)}, dtype={self.dtype})"
