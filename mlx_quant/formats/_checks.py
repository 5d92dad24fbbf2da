"""Validation shared by the formats: shapes, dtypes and ranges are checked before any bit is moved."""

from __future__ import annotations

from collections.abc import Mapping

import mlx.core as mx

from ..bits import as_words
from ..config import Scheme
from ..errors import MalformedCheckpoint, UnsupportedFormat

SCALE_DTYPES = (mx.float16, mx.bfloat16, mx.float32)


def bits_and_layout(scheme: Scheme, bits: tuple[int, ...], layouts: tuple[str, ...], key: str) -> None:
    if scheme.layout not in layouts:
        raise UnsupportedFormat(
            "unsupported-layout",
            f"{scheme.method} layout {scheme.layout!r} is not decoded; supported: {', '.join(layouts)}",
            where=key,
        )
    if scheme.bits not in bits:
        raise UnsupportedFormat(
            "unsupported-bits",
            f"{scheme.method} with {scheme.bits} bits is not decoded; supported: {', '.join(map(str, bits))}",
            where="bits",
        )


def tensors(given: Mapping[str, mx.array], required: tuple[str, ...], known: tuple[str, ...]) -> None:
    for name in required:
        if name not in given:
            raise MalformedCheckpoint(
                "missing-tensor", f"needs {', '.join(required)}; found {', '.join(sorted(given)) or 'none'}", where=name
            )
    for name in given:
        if name not in known:
            raise MalformedCheckpoint(
                "unexpected-tensor", f"not a tensor of this format, which has {', '.join(known)}", where=name
            )


def words(name: str, array: mx.array) -> mx.array:
    """A packed [rows, columns] tensor as uint32."""
    if array.dtype not in (mx.int32, mx.uint32):
        raise MalformedCheckpoint("bad-dtype", f"dtype {array.dtype}, expected int32 words", where=name)
    if array.ndim != 2 or 0 in array.shape:
        raise MalformedCheckpoint("bad-shape", f"shape {list(array.shape)}, expected two axes, none empty", where=name)
    return as_words(array)


def shape(name: str, array: mx.array, expected: tuple[int, ...], because: str) -> None:
    if array.shape != expected:
        raise MalformedCheckpoint(
            "bad-shape", f"shape {list(array.shape)}, expected {list(expected)} ({because})", where=name
        )


def scales(array: mx.array) -> None:
    if array.dtype not in SCALE_DTYPES:
        raise UnsupportedFormat(
            "unsupported-dtype", f"dtype {array.dtype}, expected float16, bfloat16 or float32", where="scales"
        )
    if not mx.isfinite(array).all().item():
        count = mx.logical_not(mx.isfinite(array)).sum().item()
        raise MalformedCheckpoint(
            "non-finite-scales", f"{count} of {array.size} values are NaN or infinite", where="scales"
        )


def groups(scheme: Scheme, in_features: int) -> tuple[int, int]:
    """Group size in input channels and the number of groups, the last one possibly short."""
    size = in_features if scheme.group_size == -1 else scheme.group_size
    return size, -(-in_features // size)
