"""AWQ as AutoAWQ writes it (``version: gemm``), 4 bits.

On disk: ``qweight`` int32 [in, out / 8] and ``qzeros`` int32 [groups, out / 8] pack eight neighbours along ``out``,
interleaved: nibble ``i`` of word ``c`` is column ``8 * c + ORDER[i]``. Zero points are stored as they are; ``scales``
[groups, out]. Source: autoawq 0.2.9, ``awq/utils/packing_utils.py`` and ``modules/linear/gemm.py``.
"""

from __future__ import annotations

import mlx.core as mx

from ..dialects.schemes import Scheme
from ..files.folder import TensorInfo
from ..weights.bits import as_words, transpose_nibbles, unpack
from ..weights.integer import Integer
from . import checks
from .protocol import Infos, Measured, Status, Tensors

ID = "awq_gemm"
TITLE = "AWQ (gemm)"
STATUS: Status = "enabled"
BITS = (4,)
LAYOUTS = ("gemm",)
MARKS = (".qweight", ".qzeros", ".scales")
TENSORS = MARKS
ORDER = (0, 2, 4, 6, 1, 3, 5, 7)

_REQUIRED = ("qweight", "qzeros", "scales")
_FIELDS = 8
# Where natural column j sits among the nibbles: the inverse of ORDER.
_NIBBLE_OF_COLUMN = tuple(ORDER.index(column) for column in range(_FIELDS))


def recognises(infos: Infos) -> bool:
    if not {"qweight", "scales"} <= infos.keys() or infos["qweight"].dtype not in checks.WORDS:
        return False
    qweight, scales = infos["qweight"].shape, infos["scales"].shape
    return len(qweight) == len(scales) == 2 and 0 < qweight[1] * _FIELDS == scales[1]


def measure(scheme: Scheme, infos: Infos) -> Measured:
    checks.decoded(scheme, BITS, LAYOUTS, "version")
    checks.present(infos, _REQUIRED, TENSORS)
    in_features, columns = checks.words(infos, "qweight")
    rows, out_features = checks.scales(infos)
    if columns * _FIELDS != out_features:
        raise checks.bad_shape(
            infos, "qweight", f"{out_features} outputs, the columns of scales, take {out_features / _FIELDS:g} columns"
        )
    size, _ = checks.groups(infos, scheme.group_size, in_features)
    if in_features % size or in_features % _FIELDS:
        raise checks.bad_shape(
            infos, "qweight", f"{in_features} input channels do not divide into groups of {size} and words"
        )
    if checks.words(infos, "qzeros") != (rows, columns):
        raise checks.bad_shape(infos, "qzeros", f"{rows} groups of {out_features} outputs take {[rows, columns]}")
    return Measured(out_features, in_features, infos["scales"].mlx_dtype)


def decode(scheme: Scheme, tensors: Tensors) -> Integer:
    found = measure(scheme, checks.headers(tensors))
    checks.finite(tensors)
    qweight, qzeros = as_words(tensors["qweight"]), as_words(tensors["qzeros"])
    rows, columns = qzeros.shape
    order = mx.array(_NIBBLE_OF_COLUMN)
    zeros = mx.take(unpack(qzeros, 4).reshape(rows, columns, _FIELDS), order, axis=-1)
    block = mx.take(transpose_nibbles(qweight), order, axis=1)
    return Integer(
        words=mx.contiguous(block.transpose(2, 1, 0)).reshape(found.out_features, -1),
        zeros=zeros.reshape(rows, found.out_features),
        scales=tensors["scales"],
        bits=scheme.bits,
        in_features=found.in_features,
        group_size=found.in_features if scheme.group_size == -1 else scheme.group_size,
    )


def remarks(scheme: Scheme, tensors: Tensors) -> list[str]:
    return []  # no label of this packing contradicts its data


def stand_in(scheme: Scheme, leaf: str, info: TensorInfo) -> mx.array:
    return mx.zeros(info.shape, info.mlx_dtype)
