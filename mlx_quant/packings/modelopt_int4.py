"""ModelOpt's INT4 (AWQ): a byte holds the signed codes of two outputs, the even one in its low half.

On disk: ``weight`` U8 [out / 2, in], codes in two's complement; ``weight_scale`` F32 [out, groups]; and where ModelOpt
could not move it into the norm before, ``pre_quant_scale`` [in], by which inputs are multiplied.

    W = RN(q * weight_scale)                                 without pre_quant_scale
    W = RN(RN32(RN32(q * weight_scale) * pre_quant_scale))   with it, as ModelOpt itself moves it into a weight

Source: nvidia-modelopt 0.47.0, ``torch/export/quant_utils.py``: ``pack_int4_in_uint8``, ``_update_pre_quant_scale``.
"""

from __future__ import annotations

import mlx.core as mx

from ..dialects.schemes import Scheme
from ..errors import UnsupportedFormat
from ..weights.integer import Integer
from ..weights.smoothed import Smoothed
from . import checks
from .protocol import Infos, Measured, Status, Tensors

ID = "modelopt_int4"
TITLE = "ModelOpt INT4 (AWQ)"
STATUS: Status = "enabled"
BITS = (4,)
LAYOUTS = ("modelopt",)
MARKS = (".weight_scale",)
# Of activations and of the cache: known, and not read.
_BESIDES = (".input_scale", ".k_scale", ".v_scale")
TENSORS = (".weight", ".weight_scale", ".pre_quant_scale", *_BESIDES)

_CODES, _SCALES, _COLUMNS = (checks.leaf(suffix) for suffix in TENSORS[:3])
# Codes in two's complement and codes counted from -8 differ in their highest bit, here of both halves of a byte.
_SIGNS, _ZERO = 0x88, 8


def recognises(infos: Infos) -> bool:
    codes, scales = infos.get(_CODES), infos.get(_SCALES)
    return (
        codes is not None
        and scales is not None
        and (codes.dtype, scales.dtype) == ("U8", "F32")
        and len(codes.shape) == len(scales.shape) == 2
        and 2 * codes.shape[0] == scales.shape[0]
        and "weight_scale_2" not in infos
    )


def measure(scheme: Scheme, infos: Infos) -> Measured:
    checks.decoded(scheme, BITS, LAYOUTS, "quant_method")
    checks.present(infos, (_CODES, _SCALES), TENSORS)
    checks.dtype(infos, _CODES, ("U8",))
    pairs, in_features = checks.matrix(infos, _CODES)
    if infos[_SCALES].dtype != "F32":
        raise UnsupportedFormat("unsupported-dtype", f"dtype {infos[_SCALES].dtype}, expected float32", where=_SCALES)
    out_features, groups = checks.matrix(infos, _SCALES)
    if out_features != 2 * pairs:
        raise checks.bad_shape(infos, _SCALES, f"{pairs} rows of bytes have {2 * pairs} outputs")
    # Only the longer of ModelOpt's two files says how large groups are.
    if in_features % groups or scheme.group_size not in (-1, in_features // groups):
        said = "of one size" if scheme.group_size == -1 else f"of {scheme.group_size}"
        raise checks.bad_shape(infos, _SCALES, f"{in_features} input channels do not make {groups} groups {said}")
    if _COLUMNS in infos:
        if infos[_COLUMNS].dtype not in checks.SCALES:
            raise UnsupportedFormat("unsupported-dtype", f"dtype {infos[_COLUMNS].dtype}", where=_COLUMNS)
        if infos[_COLUMNS].shape != (in_features,):
            raise checks.bad_shape(infos, _COLUMNS, f"expected one for each of {in_features} input channels")
    return Measured(out_features, in_features, mx.float32)


def decode(scheme: Scheme, tensors: Tensors) -> Integer | Smoothed:
    found = measure(scheme, checks.headers(tensors))
    checks.finite(tensors, _SCALES)
    scales = mx.contiguous(tensors[_SCALES].T)
    matrix = Integer(
        words=_words(tensors[_CODES], found.out_features),
        zeros=mx.full(scales.shape, _ZERO, dtype=mx.uint8),
        scales=scales,
        bits=4,
        in_features=found.in_features,
        group_size=found.in_features // scales.shape[0],
    )
    if _COLUMNS not in tensors:
        return matrix
    checks.finite(tensors, _COLUMNS)
    return Smoothed(matrix, tensors[_COLUMNS])


def remarks(scheme: Scheme, tensors: Tensors) -> list[str]:
    return []  # no label of this packing contradicts its data


def stand_in(scheme: Scheme, leaf: str, infos: Infos) -> mx.array:
    return mx.zeros(infos[leaf].shape, infos[leaf].mlx_dtype)


def _words(octets: mx.array, out_features: int) -> mx.array:
    """Pairs of outputs [out / 2, in] to rows of outputs, eight inputs a word."""
    if rest := -octets.shape[1] % 8:
        octets = mx.pad(octets, [(0, 0), (0, rest)])
    octets = octets ^ _SIGNS
    left, right = octets[:, ::2], octets[:, 1::2]
    even, odd = (left & 15) | (right << 4), (left >> 4) | (right & 0xF0)
    return mx.contiguous(mx.stack([even, odd], axis=1).reshape(out_features, -1)).view(mx.uint32)
