"""Arrays into and out of the frameworks that subjects work in."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from .array import _BITS_OF, FLOATS, Array

FRAMEWORKS = ("mlx", "torch", "numpy", "array")


def to_framework(array: Array, framework: str) -> Any:
    if framework == "array":
        return array
    if framework == "numpy":
        # A copy: a subject may write into what it is given, and the suite asks with the same arrays again.
        return array.bits.copy() if array.dtype == "bfloat16" else array.bits.copy().view(array.dtype)
    if framework == "torch":
        import torch

        return torch.from_numpy(array.bits.copy()).view(getattr(torch, array.dtype))

    import mlx.core as mx

    return mx.array(array.bits).view(getattr(mx, array.dtype))


def from_framework(value: Any, framework: str) -> Array:
    """TypeError for a dtype that no weight, code or index of the suite has."""
    if framework == "array":
        return cast(Array, value)
    if framework == "numpy":
        value = np.asarray(value)
        # NumPy has no bfloat16: its bits go in as uint16, and come back so.
        if value.dtype == np.uint16:
            return Array("bfloat16", np.ascontiguousarray(value))
    dtype = str(value.dtype).rpartition(".")[2]
    if dtype not in _BITS_OF:
        raise TypeError(f"an array of {dtype}; the suite knows {', '.join(_BITS_OF)}")
    if framework == "numpy":
        return Array.of(value)
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
