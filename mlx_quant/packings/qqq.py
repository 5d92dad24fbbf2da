"""QQQ, as its authors' library and GPTQModel write it: 4 bits that become integers of 8 by a scale of their group.

On disk: ``B`` int32 [in / 16, 2 * out] in tiles of 16 inputs and 16 outputs; ``s_channel`` float32 [1, out];
``s_group`` float16 [groups, out], empty or absent where there is one group. A row of words holds 16 inputs of all
outputs, each 64 of which are 128 words. Word ``4 * lane + j`` of them has eight codes of the ``j``-th 16 outputs: lane
``4 * (n % 8) + k // 4`` has output ``n`` and input ``k`` of the 16 there are of each. With groups, that code is nibble
``4 * (k % 2) + 2 * (n // 8) + k % 4 // 2``, else ``2 * (k % 4) + 1 - n // 8``. Scales of groups are transposed by 8 x 8
in each 64; those of outputs lie in each 32 as pairs, (0, 1), (8, 9), (16, 17), (24, 25), then (2, 3) and so on.

``W = RN32(w * s_channel)``: with groups ``w`` is ``(q - 8) * s_group`` rounded to the nearest integer, to even in the
middle, and cut off at -128 and 127; else it is 16 times the nibble, which then has a sign. Activations are rounded to 8
bits by the kernels, which changes no weight. Source: gptqmodel 7.7.0, ``nn_modules/qlinear/qqq.py``.
"""

from __future__ import annotations

import mlx.core as mx

from ..dialects.schemes import Scheme
from ..errors import UnsupportedFormat
from ..weights.bits import as_words, unpack
from ..weights.integer import Integer
from . import checks
from .protocol import Infos, Measured, Status, Tensors, Traits

ID = "qqq"
TITLE = "QQQ"
STATUS: Status = "enabled"
BITS = (4,)
LAYOUTS = ("qqq",)
MARKS = (".B", ".s_channel")
TENSORS = (".B", ".s_channel", ".s_group")
# Other models have a tensor B of their own.
TRAITS = Traits(partners={".B": ".s_channel"})

_TILE, _OUTPUTS = 16, 64
# Bits of the integers, and what is added to them so that they are not negative.
_WIDTH, _ZERO = 8, 128


def recognises(infos: Infos) -> bool:
    return {"B", "s_channel"} <= infos.keys() and infos["B"].dtype in checks.WORDS


def measure(scheme: Scheme, infos: Infos) -> Measured:
    checks.decoded(scheme, BITS, LAYOUTS)
    if scheme.sym is False or scheme.desc_act:
        raise UnsupportedFormat(
            "unsupported-layout",
            "QQQ has neither zero points nor a map of groups, and the configuration promises one",
            where="desc_act" if scheme.desc_act else "sym",
        )
    checks.present(infos, ("B", "s_channel"), TENSORS)
    rows, columns = checks.words(infos, "B")
    in_features, out_features = rows * _TILE, columns // 2
    if columns % (2 * _OUTPUTS):
        raise checks.bad_shape(infos, "B", f"{columns} columns are no whole tiles of {_OUTPUTS} outputs")
    for name, dtype in (("s_channel", "F32"), ("s_group", "F16")):
        if name in infos and infos[name].dtype != dtype:
            raise UnsupportedFormat("unsupported-dtype", f"dtype {infos[name].dtype}, expected {dtype}", where=name)
    if infos["s_channel"].shape != (1, out_features):
        raise checks.bad_shape(infos, "s_channel", f"expected one row of {out_features} outputs")
    groups = checks.whole_groups(infos, "B", scheme.group_size, in_features)
    if groups == 1:
        if "s_group" in infos and infos["s_group"].size:
            raise checks.bad_shape(infos, "s_group", "there is one group, whose scales are those of the outputs")
    elif "s_group" not in infos:
        checks.present(infos, ("B", "s_channel", "s_group"), TENSORS)
    elif infos["s_group"].shape != (groups, out_features):
        raise checks.bad_shape(infos, "s_group", f"expected {groups} rows of {out_features} outputs")
    return Measured(out_features, in_features, mx.float32)


def decode(scheme: Scheme, tensors: Tensors) -> Integer:
    found = measure(scheme, checks.headers(tensors))
    checks.finite(tensors, "s_channel")
    size = found.in_features if scheme.group_size == -1 else scheme.group_size
    words = as_words(tensors["B"])
    if size == found.in_features:
        integers = _alone(words, found.out_features)
    else:
        checks.finite(tensors, "s_group")
        scales = _turned(tensors["s_group"]).astype(mx.float32).T
        integers = _grouped(_in_order(words, found.out_features), scales, size)
    scales = _paired(tensors["s_channel"])
    return Integer(
        words=mx.contiguous(integers).view(mx.uint32),
        zeros=mx.full(scales.shape, _ZERO, dtype=mx.uint8),
        scales=scales,
        bits=_WIDTH,
        in_features=found.in_features,
        group_size=found.in_features,
    )


def _in_order(stored: mx.array, out_features: int) -> mx.array:
    """Codes uint8 [out, in] where there are groups, lazy."""
    # [16 inputs, 64 outputs, output of 8, four inputs, 16 outputs, which of a pair, which 8 outputs, which pair]
    codes = unpack(mx.contiguous(stored), 4).reshape(stored.shape[0], -1, 8, 4, 4, 2, 2, 2)
    return codes.transpose(1, 4, 6, 2, 0, 3, 7, 5).reshape(out_features, -1)


def _grouped(codes: mx.array, scales: mx.array, size: int) -> mx.array:
    """Integers and 128, uint8 [out, in]; scales float32 [out, groups]. A product has 15 bits, and is exact."""
    centred = codes.astype(mx.float32).reshape(*scales.shape, size) - 8
    integers = mx.clip(mx.round(centred * scales[..., None]), -128, 127)
    return (integers + _ZERO).astype(mx.uint8).reshape(codes.shape)


def _alone(stored: mx.array, out_features: int) -> mx.array:
    """Integers and 128, uint8 [out, in], where there is one group."""
    # [16 inputs, 64 outputs, output of 8, four inputs, 16 outputs, input of four, which 8 outputs from the last]
    codes = unpack(mx.contiguous(stored), 4).reshape(stored.shape[0], -1, 8, 4, 4, 4, 2)[..., ::-1]
    nibbles = codes.transpose(1, 4, 6, 2, 0, 3, 5).reshape(out_features, -1)
    # A nibble with a sign, and 8, is the nibble with its highest bit turned.
    return (nibbles ^ 8) << 4


def _turned(stored: mx.array) -> mx.array:
    """[groups, out] in the order of the outputs."""
    groups = stored.shape[0]
    return mx.contiguous(stored.reshape(groups, -1, 8, 8).transpose(0, 1, 3, 2)).reshape(stored.shape)


def _paired(stored: mx.array) -> mx.array:
    """[1, out] in the order of the outputs."""
    return mx.contiguous(stored.reshape(1, -1, 4, 4, 2).transpose(0, 1, 3, 2, 4)).reshape(stored.shape)


def remarks(scheme: Scheme, tensors: Tensors) -> list[str]:
    return []  # no label of this packing contradicts its data


def stand_in(scheme: Scheme, leaf: str, infos: Infos) -> mx.array:
    return mx.zeros(infos[leaf].shape, infos[leaf].mlx_dtype)
