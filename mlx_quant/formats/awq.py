"""AWQ as AutoAWQ writes it (``version: gemm``), 4 bits.

On disk: ``qweight`` int32 [in, out / 8] and ``qzeros`` int32 [groups, out / 8] pack eight neighbours along ``out``,
interleaved: nibble ``i`` of word ``c`` is column ``8 * c + ORDER[i]``. Zero points are stored as they are; ``scales``
[groups, out]. Source: autoawq 0.2.9, ``awq/utils/packing_utils.py`` and ``modules/linear/gemm.py``.
"""

from __future__ import annotations

from collections.abc import Mapping

import mlx.core as mx

from ..bits import transpose_nibbles, unpack
from ..config import Scheme
from ..errors import MalformedCheckpoint
from ..packed import PackedWeights
from . import _checks

BITS = (4,)
LAYOUTS = ("gemm",)
REQUIRED = ("qweight", "qzeros", "scales")
TENSORS = ("qweight", "qzeros", "scales", "bias")
ORDER = (0, 2, 4, 6, 1, 3, 5, 7)

_FIELDS = 8
# Where natural column j sits among the nibbles: the inverse of ORDER.
_NIBBLE_OF_COLUMN = tuple(ORDER.index(column) for column in range(_FIELDS))


def decode(scheme: Scheme, tensors: Mapping[str, mx.array]) -> PackedWeights:
    """Codes, zero points and scales of one module.

    Args:
        scheme: as parsed from the checkpoint's ``quantization_config``.
        tensors: local names of ``TENSORS`` to arrays; ``bias`` is not read.

    Raises:
        UnsupportedFormat: ``unsupported-layout``, ``unsupported-bits``, ``unsupported-dtype``.
        MalformedCheckpoint: ``missing-tensor``, ``unexpected-tensor``, ``bad-dtype``, ``bad-shape``,
            ``non-finite-scales``.
    """
    _checks.bits_and_layout(scheme, BITS, LAYOUTS, "version")
    _checks.tensors(tensors, REQUIRED, TENSORS)
    qweight, scales = _checks.words("qweight", tensors["qweight"]), tensors["scales"]
    in_features, columns = qweight.shape
    out_features = columns * _FIELDS
    size, groups = _checks.groups(scheme, in_features)
    if in_features % size or in_features % _FIELDS:
        raise MalformedCheckpoint(
            "bad-shape", f"{in_features} input channels do not divide into groups of {size} and words", where="qweight"
        )
    _checks.shape("scales", scales, (groups, out_features), f"in {in_features}, group size {scheme.group_size}")
    _checks.scales(scales)
    qzeros = _checks.words("qzeros", tensors["qzeros"])
    _checks.shape("qzeros", qzeros, (groups, columns), f"{groups} groups, out {out_features}")
    order = mx.array(_NIBBLE_OF_COLUMN)
    zeros = mx.take(unpack(qzeros, 4).reshape(groups, columns, _FIELDS), order, axis=-1)
    block = mx.take(transpose_nibbles(qweight), order, axis=1)
    return PackedWeights(
        words=mx.contiguous(block.transpose(2, 1, 0)).reshape(out_features, -1),
        zeros=zeros.reshape(groups, out_features),
        scales=scales,
        bits=scheme.bits,
        in_features=in_features,
        group_size=size,
    )
