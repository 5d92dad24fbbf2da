"""MXFP4: two E2M1 codes a byte, the low nibble first, and a power of two as a byte of E8M0 for 32 inputs.

On disk one of four pairs, of a matrix, or of a stack of experts, whose axis comes first:

    transformers (gpt-oss)  ``x_blocks`` U8 [experts, out, in / 32, 16] and ``x_scales`` U8 [experts, out, in / 32]
    compressed-tensors      ``weight_packed`` U8 [out, in / 2] and ``weight_scale`` U8 [out, in / 32]
    ModelOpt, Quark         ``weight`` U8 [out, in / 2] and ``weight_scale`` U8 [out, in / 32]
    DeepSeek V4's experts   ``weight`` I8 [out, in / 2] and ``scale`` F8_E8M0 [out, in / 32]

``W = value(code) * 2 ** (byte - 127)`` in bfloat16, where every such product is exact that does not overflow; so is it
in every wider dtype. transformers keeps the experts of gpt-oss as [experts, in, out]; here, and in MLX, they are
[experts, out, in], as they are packed. Code 8 is -0 in all of them.

Sources: transformers 5.23.0, ``integrations/mxfp4.py``, ``convert_moe_packed_tensors``, and
``integrations/finegrained_fp8.py``, ``Fp8Dequantize``; compressed-tensors 0.19.0, ``compressors/mxfp4/base.py``;
nvidia-modelopt 0.47.0, ``qtensor/mxfp4_tensor.py``; OCP Microscaling Formats v1.0.
"""

from __future__ import annotations

from typing import NamedTuple

import mlx.core as mx

from ..dialects.schemes import Scheme
from ..errors import UnsupportedFormat
from ..weights.floats import e8m0
from ..weights.scaled import Scaled
from . import checks
from .protocol import Infos, Measured, Status, Tensors, Traits

ID = "mxfp4"
TITLE = "MXFP4"
STATUS: Status = "enabled"
BITS = (4,)
LAYOUTS = ("blocks", "mxfp4-pack-quantized", "modelopt", "quark", "deepseek")
MARKS = ("_blocks", ".weight_packed", ".weight_scale", ".scale")
# Parameters of many models are called so.
TRAITS = Traits(paired={".scale": (".weight", ("I8",))})
# Of activations and of the cache: known, and not read.
_BESIDES = (".input_scale", ".input_global_scale", ".k_scale", ".v_scale")
TENSORS = ("_blocks", ".weight_packed", ".weight", "_scales", ".weight_scale", ".scale", *_BESIDES)

_GROUP, _WIDTH = 32, 16
_BYTES = ("U8", "F8_E8M0")


class _Pair(NamedTuple):
    """Codes, the scales beside them, and the dtype of the codes."""

    codes: str
    scales: str
    dtype: str = "U8"


_PAIRS = (
    _Pair("_blocks", "_scales"),
    _Pair("weight_packed", "weight_scale"),
    _Pair("weight", "weight_scale"),
    _Pair("weight", "scale", "I8"),
)
# Of layouts that are not ModelOpt's.
_PROMISED = {"blocks": _PAIRS[0], "mxfp4-pack-quantized": _PAIRS[1], "deepseek": _PAIRS[3]}


def recognises(infos: Infos) -> bool:
    for codes, scales, dtype in _PAIRS:
        if codes in infos and scales in infos and infos[codes].dtype == dtype and infos[scales].dtype in _BYTES:
            *rows, groups = infos[scales].shape or (0,)
            return infos[codes].shape in ((*rows, groups, _WIDTH), (*rows, groups * _WIDTH))
    return False


def measure(scheme: Scheme, infos: Infos) -> Measured:
    checks.decoded(scheme, BITS, LAYOUTS, "quant_method")
    if scheme.block != (1, _GROUP):
        raise UnsupportedFormat(
            "unsupported-group-size",
            f"MXFP4 has groups of {_GROUP} inputs, the configuration has {scheme.block or 'none'}",
            where="group_size",
        )
    codes, scales, dtype = _pair(scheme, infos)
    checks.present(infos, (codes, scales), (codes, scales, *_BESIDES))
    checks.dtype(infos, codes, (dtype,))
    checks.dtype(infos, scales, _BYTES)
    experts, out_features, groups = checks.stack(infos, scales)
    rows = infos[scales].shape[:-1]
    due = (*rows, groups, _WIDTH) if codes == "_blocks" else (*rows, groups * _WIDTH)
    if infos[codes].shape != due:
        raise checks.bad_shape(infos, codes, f"scales {list(infos[scales].shape)} need {list(due)}")
    return Measured(out_features, groups * _GROUP, mx.bfloat16, experts)


def decode(scheme: Scheme, tensors: Tensors) -> Scaled:
    infos = checks.headers(tensors)
    found = measure(scheme, infos)
    pair = _pair(scheme, infos)
    exponents = tensors[pair.scales]
    scales = e8m0(exponents)
    checks.finite({pair.scales: scales}, pair.scales)
    packed = tensors[pair.codes].view(mx.uint8).reshape(*exponents.shape[:-1], found.in_features // 2)
    return Scaled(packed, "e2m1", scales, (1, _GROUP), found.dtype, exponents=exponents)


def remarks(scheme: Scheme, tensors: Tensors) -> list[str]:
    return []  # no label of this packing contradicts its data


def stand_in(scheme: Scheme, leaf: str, infos: Infos) -> mx.array:
    return mx.zeros(infos[leaf].shape, infos[leaf].mlx_dtype)


def _pair(scheme: Scheme, infos: Infos) -> _Pair:
    """The pair that is here, or that the configuration promises."""
    promised = _PROMISED.get(scheme.layout, _PAIRS[2])
    return next((pair for pair in (promised, *_PAIRS) if pair.codes in infos), promised)
