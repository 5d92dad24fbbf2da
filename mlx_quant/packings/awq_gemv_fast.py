"""AWQ as AutoAWQ writes it under ``version: gemv_fast``, and llm-awq under ``backend: llm-awq``.

On disk: ``qweight`` int16 [out / 4, in] holds four outputs in a row, as nibbles, lowest first, in blocks of 64 inputs:
those of the first output, then those of the second, third and fourth. Of each 32 inputs, pair ``p`` of each eight goes
to the eight nibbles ``p``, in which the first inputs of four pairs come before the second ones. ``scales`` [room, out]
lie beside ``qzeros`` [room, out], or ``scaled_zeros`` where llm-awq wrote it: floats that are added to a code times its
scale, in one rounding. ``room`` is the number of groups, made a multiple of 8, of 16 for groups of 64, or of 32 for
groups of 32; nobody reads what is beyond the last group. Source: autoawq 0.2.9, ``awq/modules/linear/gemv_fast.py``;
AutoAWQ_kernels 0.0.9, ``awq_ext/quantization_new``; llm-awq, commit d6e797a, ``awq/quantize/qmodule.py``.
"""

from __future__ import annotations

import mlx.core as mx

from ..dialects.schemes import Scheme
from ..weights.bits import pack, unpack
from ..weights.offset import Offset
from . import checks
from .protocol import Infos, Measured, Status, Tensors

ID = "awq_gemv_fast"
TITLE = "AWQ (gemv_fast, llm-awq)"
STATUS: Status = "enabled"
BITS = (4,)
# Label to the name of the offsets.
_OFFSETS = {"gemv_fast": "qzeros", "llm-awq": "scaled_zeros"}
LAYOUTS = tuple(_OFFSETS)
MARKS = (".qweight", ".qzeros", ".scaled_zeros", ".scales")
TENSORS = (".qweight", ".scales", ".qzeros", ".scaled_zeros")

_WORDS = ("I16", "U16")
_ROWS, _BLOCK = 4, 64


def recognises(infos: Infos) -> bool:
    if not {"qweight", "scales"} <= infos.keys() or infos["qweight"].dtype not in _WORDS:
        return False
    qweight, scales = infos["qweight"].shape, infos["scales"].shape
    return len(qweight) == len(scales) == 2 and scales[1] == _ROWS * qweight[0]


def measure(scheme: Scheme, infos: Infos) -> Measured:
    checks.decoded(scheme, BITS, LAYOUTS, "version")
    offsets = _OFFSETS[scheme.layout]
    checks.present(infos, ("qweight", "scales", offsets), (".qweight", ".scales", f".{offsets}"))
    checks.dtype(infos, "qweight", _WORDS)
    rows, in_features = checks.matrix(infos, "qweight")
    out_features = rows * _ROWS
    checks.scales(infos)
    checks.dtype(infos, offsets, (infos["scales"].dtype,))
    if in_features % _BLOCK:
        raise checks.bad_shape(infos, "qweight", f"{in_features} input channels are no whole blocks of {_BLOCK}")
    groups = checks.whole_groups(infos, "qweight", scheme.group_size, in_features)
    room = checks.padded(groups, in_features // groups)
    for name in ("scales", offsets):
        if infos[name].shape != (room, out_features):
            raise checks.bad_shape(
                infos, name, f"{groups} groups of {out_features} outputs are padded to {[room, out_features]}"
            )
    return Measured(out_features, in_features, infos["scales"].mlx_dtype)


def decode(scheme: Scheme, tensors: Tensors) -> Offset:
    found = measure(scheme, checks.headers(tensors))
    groups = 1 if scheme.group_size == -1 else found.in_features // scheme.group_size
    own = {name: mx.contiguous(tensors[name][:groups]) for name in ("scales", _OFFSETS[scheme.layout])}
    for name in own:
        checks.finite(own, name)
    scales, offsets = own.values()
    return Offset(
        words=_in_order(tensors["qweight"], found.out_features),
        scales=scales,
        offsets=offsets,
        bits=scheme.bits,
        in_features=found.in_features,
        group_size=found.in_features // groups,
    )


def _in_order(stored: mx.array, out_features: int) -> mx.array:
    """uint32 [out, in / 8], lazy: rows of outputs first, then the inputs of each 32."""
    words = mx.contiguous(stored).view(mx.uint32)
    # [four outputs, block, output, words of eight]
    rows = words.reshape(out_features // _ROWS, -1, _ROWS, _BLOCK // 8).transpose(0, 2, 1, 3)
    # [output, 32 inputs, pair of an eight, first or second, eight] to [..., eight, pair, first or second]
    nibbles = unpack(mx.contiguous(rows), 4).reshape(out_features, -1, 4, 2, 4).transpose(0, 1, 4, 2, 3)
    return pack(mx.contiguous(nibbles).reshape(out_features, -1), 4)


def remarks(scheme: Scheme, tensors: Tensors) -> list[str]:
    return []  # no label of this packing contradicts its data


def stand_in(scheme: Scheme, leaf: str, infos: Infos) -> mx.array:
    return mx.zeros(infos[leaf].shape, infos[leaf].mlx_dtype)
