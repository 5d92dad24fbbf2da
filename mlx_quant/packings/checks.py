"""Rules that packings share, each stated once: on headers, before any bit is moved, and on values where need be."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping

import mlx.core as mx
import numpy as np

from ..dialects.schemes import Scheme
from ..errors import MalformedCheckpoint, UnsupportedFormat
from ..files.folder import BYTES_OF_FLOATS, DTYPES, TensorInfo
from ..weights import device, later
from ..weights.bits import fields_in, words_for
from ..weights.host import largest, read
from ..weights.parameters import singles
from .protocol import Infos, Tensors

WORDS = ("I32", "U32")
SCALES = ("F16", "BF16", "F32")
BIAS = "bias"
# Words of eight zero points that a kernel reads at once, by group size.
_AT_ONCE = {32: 4, 64: 2}

_SPELLED = {dtype: name for name, dtype in DTYPES.items() if name not in BYTES_OF_FLOATS}


def leaf(suffix: str) -> str:
    """The local name of a tensor with this suffix."""
    return suffix.removeprefix(".")


@functools.lru_cache(maxsize=1024)
def _leaves(suffixes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(leaf, suffixes))


def headers(tensors: Tensors) -> dict[str, TensorInfo]:
    """Tensors as a file's headers would describe them."""
    return {name: _header(name, array.dtype, array.shape) for name, array in tensors.items()}


@functools.lru_cache(maxsize=1024)
def _header(name: str, dtype: mx.Dtype, shape: tuple[int, ...]) -> TensorInfo:
    return TensorInfo(name, _SPELLED.get(dtype, str(dtype)), shape, "")


def decoded(scheme: Scheme, bits: Iterable[int], layouts: Iterable[str], key: str = "checkpoint_format") -> None:
    """UnsupportedFormat ``unsupported-layout`` or ``unsupported-bits`` for what a packing does not decode."""
    if scheme.layout not in layouts:
        raise UnsupportedFormat(
            "unsupported-layout",
            f"{scheme.dialect} layout {scheme.layout!r} is not decoded; supported: {', '.join(layouts)}",
            where=key,
        )
    if scheme.bits not in bits:
        raise UnsupportedFormat(
            "unsupported-bits",
            f"{scheme.dialect} with {scheme.bits} bits is not decoded; supported: {', '.join(map(str, bits))}",
            where="bits",
        )


def present(infos: Infos, required: Iterable[str], suffixes: Iterable[str]) -> None:
    """``missing-tensor`` unless all of ``required`` are here, ``unexpected-tensor`` for one of no known suffix."""
    for name in required:
        if name not in infos:
            raise MalformedCheckpoint(
                "missing-tensor", f"needs {', '.join(required)}; found {', '.join(sorted(infos)) or 'none'}", where=name
            )
    known = _leaves(tuple(suffixes))
    for name in infos:
        if name not in known and name != BIAS:
            raise MalformedCheckpoint(
                "unexpected-tensor", f"not a tensor of this format, which has {', '.join(known)}", where=name
            )


def dtype(infos: Infos, name: str, expected: tuple[str, ...]) -> None:
    if infos[name].dtype not in expected:
        raise MalformedCheckpoint(
            "bad-dtype", f"dtype {infos[name].dtype}, expected {' or '.join(expected)}", where=name
        )


def matrix(infos: Infos, name: str) -> tuple[int, int]:
    """The two axes of a tensor, neither of them empty; ``bad-shape`` for others."""
    shape = infos[name].shape
    if len(shape) != 2 or 0 in shape:
        raise bad_shape(infos, name, "expected two axes, none empty")
    return shape[0], shape[1]


def stack(infos: Infos, name: str) -> tuple[int | None, int, int]:
    """Experts, None where there is no such axis, and the two axes of their matrices; ``bad-shape`` for others."""
    shape = infos[name].shape
    if len(shape) not in (2, 3) or 0 in shape:
        raise bad_shape(infos, name, "expected two axes, or three with experts first, none empty")
    return (shape[0] if len(shape) == 3 else None), shape[-2], shape[-1]


def words(infos: Infos, name: str) -> tuple[int, int]:
    """The shape of a packed matrix of 32-bit words."""
    dtype(infos, name, WORDS)
    return matrix(infos, name)


def floats(infos: Infos, name: str) -> None:
    """``unsupported-dtype`` unless they are floats of 16 or 32 bits."""
    if infos[name].dtype not in SCALES:
        raise UnsupportedFormat(
            "unsupported-dtype", f"dtype {infos[name].dtype}, expected float16, bfloat16 or float32", where=name
        )


def scales(infos: Infos, name: str = "scales") -> tuple[int, int]:
    """The shape of a matrix of scales, which are :func:`floats`."""
    floats(infos, name)
    return matrix(infos, name)


def groups(infos: Infos, group_size: int, in_features: int, name: str = "scales") -> tuple[int, int]:
    """Group size in input channels and the number of groups, which ``scales`` must have as rows."""
    size = in_features if group_size == -1 else group_size
    count = -(-in_features // size)
    rows = infos[name].shape[0]
    if rows != count:
        raise bad_shape(
            infos,
            name,
            f"{in_features} input channels in groups of {group_size} make {count} rows; "
            f"{rows} would be groups of {in_features / rows:g}",
        )
    return size, count


def whole_groups(infos: Infos, name: str, group_size: int, in_features: int) -> int:
    """The number of groups, all of them whole; ``bad-shape`` of the tensor that says how many inputs there are."""
    size = in_features if group_size == -1 else group_size
    if in_features % size:
        raise bad_shape(infos, name, f"{in_features} input channels do not divide into groups of {size}")
    return in_features // size


def inputs(infos: Infos, name: str, rows: int, bits: int, group_size: int) -> int:
    """Input channels of so many rows of words; ``g_idx`` says it where there is one, ``bad-shape`` if they disagree."""
    if "g_idx" not in infos:
        # GPTQModel pads the last word, and only groups that do not fill what there is room for can tell.
        room, grouped = fields_in(rows, bits), infos["scales"].shape[0] * group_size
        return grouped if 0 < grouped < room and words_for(grouped, bits) == rows else room
    dtype(infos, "g_idx", ("I32", "I64"))
    # A matrix whose codes do not fill their last word has it padded; only g_idx knows the true count.
    shape = infos["g_idx"].shape
    if len(shape) != 1 or 0 in shape:
        raise bad_shape(infos, "g_idx", "expected one entry for each input channel")
    if words_for(shape[0], bits) != rows:
        raise bad_shape(
            infos,
            name,
            f"{shape[0]} input channels of {bits} bits take {words_for(shape[0], bits)} rows; "
            f"{rows} would be {rows * 32 / shape[0]:g} bits",
        )
    return shape[0]


def mapped(scheme: Scheme, infos: Infos, groups: int) -> None:
    """``missing-tensor`` where groups are ordered by activations and nothing says how."""
    if "g_idx" not in infos and scheme.desc_act and not scheme.static_groups and groups > 1:
        raise MalformedCheckpoint(
            "missing-tensor", "desc_act is true, so without it nobody knows the group of a channel", where="g_idx"
        )


def group_index(g_idx: mx.array | None, in_features: int, size: int, groups: int) -> mx.array | None:
    """None when groups are consecutive and whole, else int32 [in]. Where there is a ``g_idx``, its values decide.

    Where they are looked at later, there is always a map.
    """
    if g_idx is None:
        return None if in_features % size == 0 else mx.arange(in_features, dtype=mx.int32) // size
    if mx.default_device() == mx.gpu:

        def ordered() -> bool:
            # What a host has read, a GPU must fetch again.
            consecutive = mx.arange(in_features, dtype=g_idx.dtype) // size
            low, high, equal = read(g_idx.min(), g_idx.max(), mx.array_equal(g_idx, consecutive))
            _in_range(low, high, groups)
            return bool(equal)

        # A kernel says of a map what it meets in it.
        if g_idx.dtype == mx.int32 and device.reads() and later.postpone(g_idx, ordered):
            return g_idx
        consecutive = ordered()
    else:
        index = np.array(g_idx)
        _in_range(int(index.min()), int(index.max()), groups)
        consecutive = np.array_equal(index, np.arange(in_features) // size)
    return None if consecutive and in_features % size == 0 else g_idx.astype(mx.int32)


def _in_range(low: int, high: int, groups: int) -> None:
    if low < 0 or high >= groups:
        raise MalformedCheckpoint(
            "group-index-out-of-range", f"values {low} to {high}, but there are {groups} groups", where="g_idx"
        )


def padded(groups: int, size: int) -> int:
    """Groups that AutoAWQ's kernels find room for; ``unsupported-layout`` where it has no rule.

    Source: autoawq 0.2.9, ``calculate_zeros_width``.
    """
    if size < 128 and size not in _AT_ONCE:
        raise UnsupportedFormat(
            "unsupported-layout",
            f"groups of {size} input channels have no padding in AutoAWQ, which knows 32, 64, and 128 or more; "
            "use a gemm export",
            where="group_size",
        )
    unit = 8 * _AT_ONCE.get(size, 1)
    return -(-groups // unit) * unit


def spread(infos: Infos, name: str, strategy: str, out_features: int) -> int:
    """Groups of a tensor [out, groups] of strategy ``group``, [out, 1] of ``channel``, one element of ``tensor``."""
    found = infos[name]
    if name.endswith("scale"):
        floats(infos, name)
    if strategy == "tensor":
        if found.shape not in ((), (1,), (1, 1)):
            raise bad_shape(infos, name, "expected one element, as strategy tensor has")
        return 1
    rows, columns = matrix(infos, name)
    if rows != out_features or (strategy == "channel" and columns != 1):
        raise bad_shape(infos, name, f"expected {out_features} rows{' of one' if strategy == 'channel' else ''}")
    return columns


def rows(found: mx.array, out_features: int) -> mx.array:
    """[out, groups], or one element for all, as [groups, out]."""
    return mx.broadcast_to(found.reshape(1, 1), (1, out_features)) if found.size == 1 else mx.contiguous(found.T)


def bad_shape(infos: Infos, name: str, because: str) -> MalformedCheckpoint:
    return MalformedCheckpoint("bad-shape", f"shape {list(infos[name].shape)}: {because}", where=name)


def finite(tensors: Mapping[str, mx.array], name: str = "scales") -> float | None:
    """The largest magnitude of a tensor, which is read; MalformedCheckpoint ``non-finite-scales``.

    None where a GPU says later whether that is raised: see :mod:`mlx_quant.weights.later`.
    """
    found = tensors[name]
    if later.postpone(found, lambda: _finite(found, name), lambda: (~mx.isfinite(found)).any()):
        return None
    return _finite(found, name)


def _finite(found: mx.array, name: str) -> float:
    if not math.isfinite(most := largest(found)):
        count = np.count_nonzero(~np.isfinite(singles(found)))  # evaluated by now
        raise MalformedCheckpoint(
            "non-finite-scales", f"{count} of {found.size} values are NaN or infinite", where=name
        )
    return most


def group_map(info: TensorInfo, group_size: int, *, ordered: bool | None) -> mx.array:
    """A group index that was not read: channels dealt to groups in turn, as act-order might, or one after the other."""
    in_features = info.shape[0]
    size = in_features if group_size == -1 else group_size
    channels, groups = mx.arange(in_features, dtype=mx.int32), -(-in_features // size)
    return (channels % groups if ordered else channels // size).astype(info.mlx_dtype)
