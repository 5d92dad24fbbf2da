"""GPTQ in words of 8 or 16 bits, as GPTQModel writes it under ``pack_dtype`` ``int8`` and ``int16``: 2, 4 and 8 bits.

On disk: the tensors of GPTQ in either version, but ``qweight`` int8 or int16 [ceil(in * bits / word), out] and
``qzeros`` of the same dtype [groups, ceil(out * bits / word)]. No field crosses a word, so codes are the little-endian
stream that they are in words of 32 bits. Zero points of version 1 are not quite: GPTQModel, which alone writes and
reads such words, subtracts ones in every field of each word, and what a zero point of 0 borrows stays within its narrow
word. Source: gptqmodel 7.7.0, ``nn_modules/qlinear`` (``pack_original``, ``dequantize_weight``), ``utils/model.py``.
"""

from __future__ import annotations

import mlx.core as mx

from ..dialects.schemes import Scheme
from ..weights.bits import unpack
from ..weights.host import extremes
from ..weights.integer import Integer
from ..weights.words import Columns
from . import checks
from .protocol import Infos, Measured, Status, Tensors

ID = "gptq_narrow"
TITLE = "GPTQ (words of 8 or 16 bits)"
STATUS: Status = "enabled"
BITS = (2, 4, 8)
LAYOUTS = ("gptq", "gptq_v2")
MARKS = (".qweight", ".qzeros", ".scales", ".g_idx")
TENSORS = MARKS

_REQUIRED = ("qweight", "qzeros", "scales")
_DTYPES = {8: ("I8", "U8"), 16: ("I16", "U16")}
_UNSIGNED = {8: mx.uint8, 16: mx.uint16}
_WIDE = 32


def recognises(infos: Infos) -> bool:
    if not {"qweight", "scales"} <= infos.keys():
        return False
    qweight, scales = infos["qweight"], infos["scales"]
    found = {qweight.dtype, infos.get("qzeros", qweight).dtype}
    if not any(found <= set(dtypes) for dtypes in _DTYPES.values()):
        return False
    return len(qweight.shape) == len(scales.shape) == 2 and qweight.shape[1] == scales.shape[1]


def measure(scheme: Scheme, infos: Infos) -> Measured:
    checks.decoded(scheme, BITS, LAYOUTS)
    checks.present(infos, _REQUIRED, TENSORS)
    for name in ("qweight", "qzeros"):
        checks.dtype(infos, name, _DTYPES[scheme.word])
    rows, out_features = checks.matrix(infos, "qweight")
    if checks.scales(infos)[1] != out_features:
        raise checks.bad_shape(infos, "qweight", f"scales have {infos['scales'].shape[1]} columns, one for each output")
    in_features = _inputs(scheme, infos, rows)
    _, groups = checks.groups(infos, scheme.group_size, in_features)
    checks.mapped(scheme, infos, groups)
    expected = (groups, -(-out_features * scheme.bits // scheme.word))
    if checks.matrix(infos, "qzeros") != expected:
        raise checks.bad_shape(infos, "qzeros", f"{groups} groups of {out_features} zero points take {list(expected)}")
    return Measured(out_features, in_features, infos["scales"].mlx_dtype)


def _inputs(scheme: Scheme, infos: Infos, rows: int) -> int:
    """Input channels of so many rows of words: what ``g_idx`` says, else what groups hold of what there is room for."""
    each = scheme.word // scheme.bits
    room, grouped = rows * each, infos["scales"].shape[0] * scheme.group_size
    if "g_idx" not in infos:
        return grouped if 0 < grouped < room and -(-grouped // each) == rows else room
    checks.dtype(infos, "g_idx", ("I32", "I64"))
    shape = infos["g_idx"].shape
    if len(shape) != 1 or 0 in shape:
        raise checks.bad_shape(infos, "g_idx", "expected one entry for each input channel")
    if -(-shape[0] // each) != rows:
        raise checks.bad_shape(
            infos, "qweight", f"{shape[0]} input channels take {-(-shape[0] // each)} rows, {each} of them a word"
        )
    return shape[0]


def decode(scheme: Scheme, tensors: Tensors) -> Integer:
    found = measure(scheme, checks.headers(tensors))
    checks.finite(tensors)
    groups = tensors["scales"].shape[0]
    size = found.in_features if groups == 1 else scheme.group_size
    return Integer(
        words=Columns(_rows_joined(_unsigned(scheme, tensors["qweight"]))),
        zeros=_zeros(scheme, tensors),
        scales=tensors["scales"],
        bits=scheme.bits,
        in_features=found.in_features,
        group_size=size,
        group_index=checks.group_index(tensors.get("g_idx"), found.in_features, size, groups),
    )


def _unsigned(scheme: Scheme, words: mx.array) -> mx.array:
    dtype = _UNSIGNED[scheme.word]
    return words if words.dtype == dtype else words.view(dtype)


def _rows_joined(words: mx.array) -> mx.array:
    """uint32 [ceil(rows * word / 32), out] of narrow words [rows, out], lazy: rows that follow become higher bits."""
    each = 4 // words.itemsize
    short = -words.shape[0] % each
    wide = (mx.pad(words, [(0, short), (0, 0)]) if short else words).astype(mx.uint32)
    joined = wide[::each]
    for place in range(1, each):
        joined = joined | (wide[place::each] << (place * _WIDE // each))
    return joined


def _fields(words: mx.array, bits: int, count: int) -> mx.array:
    """uint8 [rows, count] of rows of narrow words."""
    short = -words.shape[1] % (4 // words.itemsize)
    padded = mx.pad(words, [(0, 0), (0, short)]) if short else words
    return mx.contiguous(unpack(mx.contiguous(padded).view(mx.uint32), bits, count))


def _zeros(scheme: Scheme, tensors: Tensors) -> mx.array:
    """uint8 [groups, out]; symmetric ones by the data where a label contradicts them all (docs/policies.md)."""
    words, out_features = _unsigned(scheme, tensors["qzeros"]), tensors["scales"].shape[1]
    stored = _fields(words, scheme.bits, out_features)
    if _mislabelled(scheme, stored):
        return mx.full(stored.shape, _middle(scheme), dtype=mx.uint8)
    if scheme.layout == "gptq_v2":
        return stored
    ones = ((1 << scheme.word) - 1) // ((1 << scheme.bits) - 1)
    return _fields(words + mx.array(ones, words.dtype), scheme.bits, out_features)


def _middle(scheme: Scheme) -> int:
    return 1 << (scheme.bits - 1)


def _mislabelled(scheme: Scheme, stored: mx.array) -> bool:
    """Whether the zero points of a symmetric module are all what the other version stores."""
    other = _middle(scheme) - (scheme.layout == "gptq_v2")
    return scheme.sym is not False and bool(mx.all(stored == other).item())


def remarks(scheme: Scheme, tensors: Tensors) -> list[str]:
    if scheme.sym is False:
        return []
    zeros, middle = _zeros(scheme, tensors), _middle(scheme)
    stored = _fields(_unsigned(scheme, tensors["qzeros"]), scheme.bits, zeros.shape[1])
    if _mislabelled(scheme, stored):
        return [
            f"labelled {scheme.layout!r}, but its symmetric zero points are stored as {stored.min().item()}, as under "
            "the other label; decoded by the data"
        ]
    low, high = extremes(zeros)
    return [] if low == high == middle else [f"not asymmetric, yet zero points are {low} to {high}; decoded as stored"]


def stand_in(scheme: Scheme, leaf: str, infos: Infos) -> mx.array:
    """Group indices as ``desc_act`` promises them, zero points in the middle, everything else zero."""
    info = infos[leaf]
    if leaf == "g_idx":
        return checks.group_map(info, scheme.group_size, ordered=scheme.desc_act and not scheme.static_groups)
    if leaf != "qzeros":
        return mx.zeros(info.shape, info.mlx_dtype)
    field = _middle(scheme) - (scheme.layout == "gptq")
    word = sum(field << place for place in range(0, scheme.word, scheme.bits))
    return mx.full(info.shape, word, dtype=_UNSIGNED[scheme.word]).view(info.mlx_dtype)
