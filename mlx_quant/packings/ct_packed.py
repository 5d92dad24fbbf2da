"""compressed-tensors' ``pack-quantized``: integers of 2 to 8 bits in 32-bit words.

On disk: ``weight_packed`` int32 [out, words] packs codes along ``in``, lowest bits first, with ``2**(bits - 1)`` added
so that they are unsigned. Since compressed-tensors 0.18 they are one stream of bits; before, what was left over of a
word at 3, 5, 6 and 7 bits was padding. The number of words tells; where both make the same number, the version that the
configuration names does, and without one it is a stream.
``weight_scale`` [out, groups], [out, 1] or [1]; ``weight_zero_point`` int32 [words, groups] packs zero points along
``out`` in the same way, or is int8 [1]; ``weight_g_idx`` int32 [in] in act-order; ``weight_shape`` int64 [2].
Source: compressed-tensors 0.17.1 and 0.19.0, ``compressors/pack_quantized``.
"""

from __future__ import annotations

import mlx.core as mx

from ..dialects.schemes import Scheme
from ..errors import MalformedCheckpoint
from ..weights.bits import as_words, fields_in, pack, unpack, words_for
from ..weights.integer import Integer
from . import checks
from .protocol import Infos, Measured, Status, Tensors

ID = "ct_packed"
TITLE = "compressed-tensors (pack-quantized)"
STATUS: Status = "enabled"
BITS = (2, 3, 4, 5, 6, 7, 8)
LAYOUTS = ("pack-quantized",)
MARKS = (".weight_packed",)
TENSORS = (".weight_packed", ".weight_scale", ".weight_zero_point", ".weight_g_idx", ".weight_shape")

_STREAMS_SINCE = (0, 18)
_CODES, _SCALES, _ZEROS, _MAP, _SHAPE = (checks.leaf(suffix) for suffix in TENSORS)


def recognises(infos: Infos) -> bool:
    found = infos.get(_CODES)
    return found is not None and found.dtype in checks.WORDS and len(found.shape) == 2


def measure(scheme: Scheme, infos: Infos) -> Measured:
    checks.decoded(scheme, BITS, LAYOUTS, "format")
    required = (_CODES, _SCALES) if scheme.strategy == "group" else (_CODES, _SCALES, _SHAPE)
    checks.present(infos, (*required, *(() if scheme.sym else (_ZEROS,))), TENSORS)
    out_features, words = checks.words(infos, _CODES)
    columns = checks.spread(infos, _SCALES, scheme.strategy, out_features)
    in_features = columns * scheme.group_size if scheme.strategy == "group" else _fitting(words, scheme.bits)
    if scheme.strategy == "group" and not _packings(words, in_features, scheme.bits):
        raise checks.bad_shape(
            infos, _CODES, f"{in_features} input channels, {columns} groups of {scheme.group_size}, take other words"
        )
    if _ZEROS in infos and not scheme.sym:
        _measure_zeros(scheme, infos, out_features, columns)
    if _MAP in infos:
        checks.dtype(infos, _MAP, ("I32",))
        if len(infos[_MAP].shape) != 1 or (scheme.strategy == "group" and infos[_MAP].shape[0] != in_features):
            raise checks.bad_shape(infos, _MAP, f"expected one group for each of {in_features} input channels")
    elif scheme.desc_act and columns > 1:
        raise MalformedCheckpoint(
            "missing-tensor", "actorder is group, so the group of each input channel must be said", where=_MAP
        )
    return Measured(out_features, in_features, infos[_SCALES].mlx_dtype)


def decode(scheme: Scheme, tensors: Tensors) -> Integer:
    infos = checks.headers(tensors)
    found = measure(scheme, infos)
    checks.finite(tensors, _SCALES)
    out_features, in_features = found.out_features, found.in_features
    if _SHAPE in tensors:
        in_features = _stated_inputs(scheme, tensors, infos, out_features, in_features)
    words = as_words(tensors[_CODES])
    padded = _is_padded(scheme, words.shape[1], in_features)
    scales = checks.rows(tensors[_SCALES], out_features)
    return Integer(
        words=_stream(words, scheme.bits, in_features) if padded else words,
        zeros=_zeros(scheme, tensors, scales.shape[0], out_features),
        scales=scales,
        bits=scheme.bits,
        in_features=in_features,
        group_size=scheme.group_size if scheme.strategy == "group" else in_features,
        group_index=_group_index(tensors, scales.shape[0]),
    )


def remarks(scheme: Scheme, tensors: Tensors) -> list[str]:
    return list(scheme.notes)


def stand_in(scheme: Scheme, leaf: str, infos: Infos) -> mx.array:
    """The shape that the headers make, group indices as ``actorder`` promises them, everything else zero."""
    info = infos[leaf]
    if leaf == _SHAPE and info.shape == (2,):
        found = measure(scheme, infos)
        return mx.array([found.out_features, found.in_features]).astype(info.mlx_dtype)
    if leaf == _MAP:
        return checks.group_map(info, scheme.group_size, ordered=scheme.desc_act)
    return mx.zeros(info.shape, info.mlx_dtype)


def _padded(fields: int, bits: int) -> int:
    """Words of so many fields where none reaches over the end of a word."""
    return -(-fields // (32 // bits))


def _fitting(words: int, bits: int) -> int:
    """Fields of so many words where headers are all there is: of whole runs of 32 in a stream, else of padded words."""
    return fields_in(words, bits) if words % bits == 0 or 32 % bits == 0 else words * (32 // bits)


def _packings(words: int, fields: int, bits: int) -> bool:
    return words in (words_for(fields, bits), _padded(fields, bits))


def _is_padded(scheme: Scheme, words: int, fields: int) -> bool:
    if words != words_for(fields, scheme.bits):
        return True
    old = scheme.producer is not None and scheme.producer[1] < _STREAMS_SINCE
    return old and words == _padded(fields, scheme.bits) and 32 % scheme.bits != 0


def _measure_zeros(scheme: Scheme, infos: Infos, out_features: int, columns: int) -> None:
    if scheme.strategy == "tensor":
        checks.dtype(infos, _ZEROS, ("I8",))
        checks.spread(infos, _ZEROS, scheme.strategy, out_features)
        return
    rows, found = checks.words(infos, _ZEROS)
    if found != columns or not _packings(rows, out_features, scheme.bits):
        raise checks.bad_shape(
            infos,
            _ZEROS,
            f"{columns} groups of {out_features} outputs take {[words_for(out_features, scheme.bits), columns]}",
        )


def _stated_inputs(scheme: Scheme, tensors: Tensors, infos: Infos, out_features: int, measured: int) -> int:
    """Input channels by ``weight_shape``, which must agree with the other tensors."""
    stated = [int(value) for value in tensors[_SHAPE].tolist()] if tensors[_SHAPE].ndim == 1 else []  # type: ignore[union-attr, arg-type]
    if len(stated) != 2 or stated[0] != out_features or stated[1] < 1:
        raise checks.bad_shape(infos, _SHAPE, f"says {stated}, but {_CODES} has {out_features} rows")
    if (scheme.strategy == "group" and stated[1] != measured) or not _packings(
        tensors[_CODES].shape[1], stated[1], scheme.bits
    ):
        raise checks.bad_shape(infos, _CODES, f"{_SHAPE} says {stated}, which takes other words or groups")
    if _MAP in tensors and tensors[_MAP].shape[0] != stated[1]:
        raise checks.bad_shape(infos, _MAP, f"{_SHAPE} says {stated}")
    return stated[1]


def _fields(words: mx.array, bits: int, count: int, padded: bool) -> mx.array:
    """uint8 [rows, count] of packed words [rows, n]."""
    if not padded:
        return unpack(words, bits, count)
    shifts = mx.arange(32 // bits, dtype=mx.uint32) * bits
    apart = (words[..., None] >> shifts) & ((1 << bits) - 1)
    return apart.reshape(words.shape[0], -1)[:, :count].astype(mx.uint8)


def _stream(words: mx.array, bits: int, count: int) -> mx.array:
    """Padded words as one stream of bits a row."""
    codes = _fields(words, bits, count, padded=True)
    return pack(mx.pad(codes, [(0, 0), (0, -count % 32)]), bits)[:, : words_for(count, bits)]


def _zeros(scheme: Scheme, tensors: Tensors, groups: int, out_features: int) -> mx.array:
    """uint8 [groups, out], counted from the least code, as codes are."""
    middle = 1 << (scheme.bits - 1)
    if scheme.sym:
        return mx.full((groups, out_features), middle, dtype=mx.uint8)
    stored = tensors[_ZEROS]
    if scheme.strategy == "tensor":
        return checks.rows((stored.astype(mx.int16) + middle).astype(mx.uint8), out_features)
    words = mx.contiguous(as_words(stored).T)
    return _fields(words, scheme.bits, out_features, _is_padded(scheme, words.shape[1], out_features))


def _group_index(tensors: Tensors, groups: int) -> mx.array | None:
    """The map, unless it is filled with -1, which upstream takes for none."""
    found = tensors.get(_MAP)
    if found is None or groups == 1 or mx.any(found == -1).item():
        return None
    low, high = (int(value) for value in mx.stack([found.min(), found.max()]).tolist())  # type: ignore[union-attr, arg-type]
    if low < 0 or high >= groups:
        raise MalformedCheckpoint(
            "group-index-out-of-range", f"values from {low} to {high}, expected 0 to {groups - 1}", where=_MAP
        )
    return found
