"""GPTQ as AutoGPTQ writes it (``checkpoint_format: gptq``), 4 bits.

On disk, torch's [in, out] orientation: ``qweight`` int32 [in / 8, out] packs eight codes along ``in``, lowest nibble
first; ``qzeros`` int32 [groups, out / 8] packs along ``out`` and holds the zero point minus one; ``scales``
[groups, out]; ``g_idx`` int32 [in], the group of each input channel, absent when groups are consecutive. Transposed,
``qweight`` is MLX's packed layout as it stands. Source: auto_gptq 0.7.1, ``nn_modules/qlinear/qlinear_cuda*.py``.
"""

from __future__ import annotations

from collections.abc import Mapping

import mlx.core as mx

from ..bits import unpack
from ..config import Scheme
from ..errors import MalformedCheckpoint
from ..packed import PackedWeights
from . import _checks

BITS = (4,)
LAYOUTS = ("gptq",)
REQUIRED = ("qweight", "scales")
TENSORS = ("qweight", "qzeros", "scales", "g_idx", "bias")

_FIELDS = 8
_WORD_OF_ONES = 0x11111111
_MIDDLE = 8
_STORED_MIDDLE = {"gptq": 7, "gptq_v2": 8}


def decode(scheme: Scheme, tensors: Mapping[str, mx.array]) -> PackedWeights:
    """Codes, zero points, scales and groups of one module.

    Args:
        scheme: as parsed from the checkpoint's ``quantization_config``.
        tensors: local names of ``TENSORS`` to arrays; ``bias`` is not read.

    Raises:
        UnsupportedFormat: ``unsupported-layout``, ``unsupported-bits``, ``unsupported-dtype``.
        MalformedCheckpoint: ``missing-tensor``, ``unexpected-tensor``, ``bad-dtype``, ``bad-shape``,
            ``group-index-out-of-range``, ``non-finite-scales``.
    """
    _checks.tensors(tensors, REQUIRED if scheme.sym else (*REQUIRED, "qzeros"), TENSORS)
    relabelled = mislabelled(scheme, tensors)
    _checks.bits_and_layout(scheme, BITS, (*LAYOUTS, scheme.layout) if relabelled else LAYOUTS, "checkpoint_format")
    qweight, scales = _checks.words("qweight", tensors["qweight"]), tensors["scales"]
    rows, out_features = qweight.shape
    in_features = _in_features(rows, tensors.get("g_idx"))
    size, groups = _checks.groups(scheme, in_features)
    _checks.shape("scales", scales, (groups, out_features), f"in {in_features}, group size {scheme.group_size}")
    _checks.scales(scales)
    if relabelled or "qzeros" not in tensors:
        zeros = mx.full((groups, out_features), _MIDDLE, dtype=mx.uint8)
    else:
        zeros = _zeros(scheme, tensors["qzeros"], groups, out_features)
    return PackedWeights(
        words=mx.contiguous(qweight.T),
        zeros=zeros,
        scales=scales,
        bits=scheme.bits,
        in_features=in_features,
        group_size=size,
        group_index=_group_index(scheme, tensors.get("g_idx"), in_features, size, groups),
    )


def mislabelled(scheme: Scheme, tensors: Mapping[str, mx.array]) -> bool:
    """Whether symmetric zero points contradict the label: ``gptq`` stores 7 for them and ``gptq_v2`` stores 8.

    Only a file that says ``sym: true`` can tell, because its true zero point is known to be 8.
    """
    if scheme.sym is not True or scheme.bits != 4 or scheme.layout not in _STORED_MIDDLE or "qzeros" not in tensors:
        return False
    other = next(stored for layout, stored in _STORED_MIDDLE.items() if layout != scheme.layout)
    scales = tensors["scales"]
    if scales.ndim != 2:
        return False  # whatever the label, the shapes are refused
    out_features = scales.shape[1]
    fields = unpack(_checks.words("qzeros", tensors["qzeros"]), scheme.bits)[:, :out_features]
    return bool(mx.all(fields == other).item())


def _zeros(scheme: Scheme, qzeros: mx.array, groups: int, out_features: int) -> mx.array:
    """uint8 [groups, out] from ``qzeros``, which holds ``z - 1``.

    A stored field of all ones decodes to 0. AutoGPTQ's own readers give 16 or 0 there; its quantiser only makes zero
    points 0 to 15, so the writer meant 0 (docs/policies.md).
    """
    words = _checks.words("qzeros", qzeros)
    _checks.shape("qzeros", words, (groups, -(-out_features // _FIELDS)), f"{groups} groups, out {out_features}")
    if scheme.zeros_packed_with_borrow:
        fields = unpack(words + mx.array(_WORD_OF_ONES, dtype=mx.uint32), scheme.bits)
    else:
        fields = (unpack(words, scheme.bits) + 1) & 0xF
    return mx.contiguous(fields[:, :out_features])


def _in_features(rows: int, g_idx: mx.array | None) -> int:
    if g_idx is None:
        return rows * _FIELDS
    if g_idx.dtype not in (mx.int32, mx.int64):
        raise MalformedCheckpoint("bad-dtype", f"dtype {g_idx.dtype}, expected int32", where="g_idx")
    # A matrix whose input count is no multiple of eight has its last word padded; only g_idx knows the true count.
    if g_idx.ndim != 1 or -(-g_idx.size // _FIELDS) != rows:
        raise MalformedCheckpoint(
            "bad-shape", f"shape {list(g_idx.shape)}, but qweight has {rows} rows of {_FIELDS} codes", where="g_idx"
        )
    return g_idx.size


def _group_index(scheme: Scheme, g_idx: mx.array | None, in_features: int, size: int, groups: int) -> mx.array | None:
    """None when groups are consecutive and whole, else int32 [in]. Where there is a ``g_idx``, its values decide."""
    if g_idx is None and scheme.desc_act and not scheme.static_groups and groups > 1:
        raise MalformedCheckpoint(
            "missing-tensor", "desc_act is true, so without it nobody knows the group of a channel", where="g_idx"
        )
    consecutive = mx.arange(in_features, dtype=mx.int32) // size
    index = consecutive if g_idx is None else g_idx.astype(mx.int32)
    low, high = int(index.min()), int(index.max())
    if low < 0 or high >= groups:
        raise MalformedCheckpoint(
            "group-index-out-of-range", f"values {low} to {high}, but there are {groups} groups", where="g_idx"
        )
    whole = in_features % size == 0
    return None if whole and mx.array_equal(index, consecutive).item() else index
