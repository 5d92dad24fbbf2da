"""Arrays into and out of the frameworks that subjects work in."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from .array import _BITS_OF, FLOATS, Array
from .floats import TABLES

FRAMEWORKS = ("mlx", "torch", "numpy", "array")


def to_framework(array: Array, framework: str) -> Any:
    """A copy: a subject may do with it what it likes, and nobody else meets that."""
    if framework == "array":
        return Array(array.dtype, array.bits.copy())
    if framework == "numpy":
        plain = array.dtype == "bfloat16" or array.dtype in TABLES
        return array.bits.copy() if plain else array.bits.view(array.dtype).copy()
    if framework == "torch":
        import torch

        return torch.from_numpy(array.bits.copy()).view(getattr(torch, array.dtype))

    import mlx.core as mx

    if array.dtype == "bfloat16":
        return mx.array(array.bits).view(mx.bfloat16)
    # MLX has no floats of 8 bits: mx.load hands out their bytes. What is no view needs no evaluation.
    return mx.array(array.bits if array.dtype in TABLES else array.bits.view(array.dtype))


def to_framework_strided(array: Array, framework: str) -> Any:
    """The same values as a view: of an array that holds the transpose, or twice as many elements of a row."""
    if array.bits.ndim == 0:
        return to_framework(array, framework)
    if array.bits.ndim < 2:
        return _every_other(to_framework(Array(array.dtype, np.repeat(array.bits, 2, axis=-1)), framework))
    turned = to_framework(Array(array.dtype, np.ascontiguousarray(array.bits.T)), framework)
    return Array(array.dtype, turned.bits.T) if framework == "array" else turned.T


def _every_other(doubled: Any) -> Any:
    return Array(doubled.dtype, doubled.bits[::2]) if isinstance(doubled, Array) else doubled[::2]


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

    return Array(dtype, np.array(value.view(mx.uint16) if dtype == "bfloat16" else value).view(bits))


def dtype_of(framework: str, name: str | None) -> Any:
    if name is None or framework in ("numpy", "array"):
        return name
    if framework == "torch":
        import torch

        return getattr(torch, name)

    import mlx.core as mx

    return getattr(mx, name)
