"""AWQ as AutoAWQ writes it under ``version: gemv``.

On disk: ``qweight`` int32 [out, in / 8] packs codes along ``in``, lowest nibble first, which is MLX's own order;
``qzeros`` int32 [out, room / 8] packs zero points along the groups in the same way, and ``scales`` are [out, room].
``room`` is the number of groups, made a multiple of 8, of 16 for groups of 64, or of 32 for groups of 32; nobody reads
what is beyond the last group. Source: autoawq 0.2.9, ``awq/modules/linear/gemv.py``, and AutoAWQ_kernels 0.0.9,
``awq_ext/quantization/gemv_cuda.cu``.
"""

from __future__ import annotations

import mlx.core as mx

from ..dialects.schemes import Scheme
from ..weights.bits import as_array, as_words, unpack_few
from ..weights.integer import Integer
from . import checks
from .protocol import Infos, Measured, Status, Tensors

ID = "awq_gemv"
TITLE = "AWQ (gemv)"
STATUS: Status = "enabled"
BITS = (4,)
LAYOUTS = ("gemv",)
MARKS = (".qweight", ".qzeros", ".scales")
TENSORS = MARKS

_REQUIRED = ("qweight", "qzeros", "scales")
_FIELDS = 8


def recognises(infos: Infos) -> bool:
    if not {"qweight", "scales"} <= infos.keys() or infos["qweight"].dtype not in checks.WORDS or "g_idx" in infos:
        return False
    qweight, scales = infos["qweight"].shape, infos["scales"].shape
    if len(qweight) != 2 or len(scales) != 2 or 0 in qweight:
        return False
    # Both have a row an output; there are whole words of zero points, and no more groups than inputs.
    return scales[0] == qweight[0] and scales[1] % _FIELDS == 0 and 0 < scales[1] <= max(qweight[1], 4) * _FIELDS


def measure(scheme: Scheme, infos: Infos) -> Measured:
    checks.decoded(scheme, BITS, LAYOUTS, "version")
    checks.present(infos, _REQUIRED, TENSORS)
    out_features, columns = checks.words(infos, "qweight")
    in_features = columns * _FIELDS
    checks.scales(infos)
    checks.words(infos, "qzeros")
    groups = checks.whole_groups(infos, "qweight", scheme.group_size, in_features)
    room = checks.padded(groups, in_features // groups)
    for name, width in (("qzeros", room // _FIELDS), ("scales", room)):
        if infos[name].shape != (out_features, width):
            raise checks.bad_shape(
                infos, name, f"{groups} groups of {out_features} outputs are padded to {[out_features, width]}"
            )
    return Measured(out_features, in_features, infos["scales"].mlx_dtype)


def decode(scheme: Scheme, tensors: Tensors) -> Integer:
    found = measure(scheme, checks.headers(tensors))
    groups = 1 if scheme.group_size == -1 else found.in_features // scheme.group_size
    scales = mx.contiguous(tensors["scales"][:, :groups].T)
    checks.finite({"scales": scales})
    return Integer(
        words=as_words(tensors["qweight"]),
        zeros=as_array(unpack_few(as_words(tensors["qzeros"]), scheme.bits, groups).T),
        scales=scales,
        bits=scheme.bits,
        in_features=found.in_features,
        group_size=found.in_features // groups,
    )


def remarks(scheme: Scheme, tensors: Tensors) -> list[str]:
    return []  # no label of this packing contradicts its data


def stand_in(scheme: Scheme, leaf: str, infos: Infos) -> mx.array:
    return mx.zeros(infos[leaf].shape, infos[leaf].mlx_dtype)
