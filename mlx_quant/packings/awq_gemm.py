"""AWQ as AutoAWQ, AutoRound and GPTQModel write it (``version: gemm``).

On disk: ``qweight`` int32 [in, ceil(out * bits / 32)] and ``qzeros`` int32 [groups, ceil(out * bits / 32)] pack along
``out`` as a little-endian bit stream. Under the layout ``gemm`` each eight neighbours are interleaved: field ``8 * c +
i`` is column ``8 * c + ORDER[i]``; so 4 bits always are, and AutoRound's 5 to 7. GPTQModel's widths other than 4 keep
their order (``gemm_natural``). Zero points are stored as they are; ``scales`` [groups, out]. Source: autoawq 0.2.9,
``awq/utils/packing_utils.py`` and ``modules/linear/gemm.py``; auto-round 0.16.1, ``utils/bit_packing.py``; gptqmodel
7.7.0, ``quantization/awq/utils/packing_utils.py``.
"""

from __future__ import annotations

from typing import Any

import mlx.core as mx

from ..dialects.schemes import Scheme
from ..weights import device
from ..weights.bits import as_array, as_words, pack, unpack, unpack_few, words_for
from ..weights.device import Stored
from ..weights.integer import Integer
from ..weights.words import Nibbles
from . import checks
from .protocol import Infos, Measured, Status, Tensors, Traits

ID = "awq_gemm"
TITLE = "AWQ (gemm)"
STATUS: Status = "enabled"
BITS = (2, 3, 4, 5, 6, 7, 8)
LAYOUTS = ("gemm", "gemm_natural")
MARKS = (".qweight", ".qzeros", ".scales")
TENSORS = MARKS
TRAITS = Traits(passed=(".qweight",))
ORDER = (0, 2, 4, 6, 1, 3, 5, 7)

_REQUIRED = ("qweight", "qzeros", "scales")
_FIELDS = 8


def recognises(infos: Infos) -> bool:
    if not {"qweight", "scales"} <= infos.keys() or infos["qweight"].dtype not in checks.WORDS:
        return False
    qweight, scales = infos["qweight"].shape, infos["scales"].shape
    if len(qweight) != 2 or len(scales) != 2 or "g_idx" in infos or not qweight[1]:
        return False
    # Words hold several codes of a row, but never 32; other packings have a word of each output side by side.
    return any(words_for(scales[1], bits) == qweight[1] for bits in BITS) and qweight[1] < scales[1]


def measure(scheme: Scheme, infos: Infos) -> Measured:
    checks.decoded(scheme, BITS, LAYOUTS, "version")
    checks.present(infos, _REQUIRED, TENSORS)
    in_features, columns = checks.words(infos, "qweight")
    rows, out_features = checks.scales(infos)
    if words_for(out_features, scheme.bits) != columns or (scheme.layout == "gemm" and out_features % _FIELDS):
        raise checks.bad_shape(
            infos,
            "qweight",
            f"{out_features} outputs, the columns of scales, take {out_features * scheme.bits / 32:g} columns",
        )
    size, _ = checks.groups(infos, scheme.group_size, in_features)
    if in_features % size or (scheme.bits == 4 and in_features % _FIELDS):
        raise checks.bad_shape(
            infos, "qweight", f"{in_features} input channels do not divide into groups of {size} and words"
        )
    if checks.words(infos, "qzeros") != (rows, columns):
        raise checks.bad_shape(infos, "qzeros", f"{rows} groups of {out_features} outputs take {[rows, columns]}")
    return Measured(out_features, in_features, infos["scales"].mlx_dtype)


def decode(scheme: Scheme, tensors: Tensors) -> Integer:
    found = measure(scheme, checks.headers(tensors))
    largest = checks.finite(tensors)
    qweight = as_words(tensors["qweight"])
    words = Nibbles(qweight, ORDER) if scheme.bits == 4 else _rows(qweight, scheme, found.out_features)
    zeros: mx.array | Stored
    if scheme.bits == 4 and device.reads():
        zeros = Stored(tensors["qzeros"], order=ORDER)
    else:
        zeros = as_array(_in_order(unpack_few(as_words(tensors["qzeros"]), scheme.bits, found.out_features), scheme))
    return Integer(
        words=words,
        zeros=zeros,
        scales=tensors["scales"],
        bits=scheme.bits,
        in_features=found.in_features,
        group_size=found.in_features if scheme.group_size == -1 else scheme.group_size,
        largest=largest,
    )


def _rows(qweight: mx.array, scheme: Scheme, out_features: int) -> mx.array:
    """uint32 [out, ceil(in * bits / 32)]."""
    codes = mx.contiguous(_in_order(unpack(qweight, scheme.bits, out_features), scheme).T)
    return pack(mx.pad(codes, [(0, 0), (0, -codes.shape[1] % 32)]), scheme.bits)[
        :, : words_for(codes.shape[1], scheme.bits)
    ]


def _in_order(fields: Any, scheme: Scheme) -> Any:
    """Fields [rows, out], MLX's or NumPy's, in the order of the outputs."""
    if scheme.layout != "gemm":
        return fields
    # ORDER has the even columns first: two rows of four, which are read down instead of across.
    return fields.reshape(len(fields), -1, 2, _FIELDS // 2).swapaxes(-1, -2).reshape(fields.shape)


def remarks(scheme: Scheme, tensors: Tensors) -> list[str]:
    return []  # no label of this packing contradicts its data


def stand_in(scheme: Scheme, leaf: str, infos: Infos) -> mx.array:
    return mx.zeros(infos[leaf].shape, infos[leaf].mlx_dtype)
