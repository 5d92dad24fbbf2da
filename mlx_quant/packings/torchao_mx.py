"""torchao's MX and NVFP4: codes of 8 or 4 bits, and a small float as the scale of 32 or 16 of them along the inputs.

On disk, of one matrix:

    MXTensor     ``_weight_qdata`` F8_E4M3 [out, in], or U8 [out, in / 2] of E2M1, the low nibble first;
                 ``_weight_scale`` F8_E8M0 for 32 inputs
    NVFP4Tensor  ``_weight_qdata`` U8 [out, in / 2] of E2M1; ``_weight_scale`` F8_E4M3 for 16 inputs; where the header
                 says so, ``_weight_per_tensor_scale`` F32 []

Scales are [out, groups], or swizzled, as all of torchao's recipes have them: padded to tiles of 128 outputs by 4
groups, which lie one after the other in row order, [32 * down, 16 * across]; in a tile the scale of output
``32 * a + b`` and group ``d`` is byte ``16 * b + 4 * a + d``. Those of the padding are nobody's.

    MXTensor     RN(value * 2 ** (byte - 127))
    NVFP4Tensor  RN(RN32(value * RN32(per_tensor_scale * scale))), or without the former

in the dtype that the header names. A scale of activations, where there is one, belongs to no weight.

Sources: torchao 0.18.0, ``prototype/mx_formats``: ``mx_tensor.py`` (``to_dtype``), ``nvfp4_tensor.py``
(``dequantize``), ``utils.py`` (``from_blocked``).
"""

from __future__ import annotations

import mlx.core as mx
import numpy as np

from ..dialects.schemes import Scheme
from ..errors import UnsupportedFormat
from ..files.folder import FLOATS
from ..weights.floats import e4m3, e8m0
from ..weights.scaled import Scaled
from . import checks
from .protocol import Infos, Measured, Status, Tensors

ID = "torchao_mx"
TITLE = "torchao's MX and NVFP4"
STATUS: Status = "enabled"
BITS = (4, 8)
_MX, _NVFP4, _SWIZZLED = "MXTensor", "NVFP4Tensor", ", swizzled"
LAYOUTS = (_MX, _NVFP4, _MX + _SWIZZLED, _NVFP4 + _SWIZZLED)
MARKS = ("._weight_qdata", "._weight_scale")
TENSORS = (*MARKS, "._weight_per_tensor_scale", "._weight_act_per_tensor_scale")

_CODES, _SCALES, _WHOLE = (checks.leaf(suffix) for suffix in TENSORS[:3])
# Inputs that share a scale, and how scales are stored: a file says which small float, an array in memory does not.
_GROUPS = {_MX: 32, _NVFP4: 16}
_KEPT = {_MX: ("F8_E8M0", "U8"), _NVFP4: ("F8_E4M3", "U8")}
# Outputs and groups of a tile, and its shape.
_TALL, _WIDE, _ROWS, _BYTES = 128, 4, 32, 16


def recognises(infos: Infos) -> bool:
    codes, scales = infos.get(_CODES), infos.get(_SCALES)
    small = {"F8_E8M0", "F8_E4M3", "U8"}
    return codes is not None and scales is not None and scales.dtype in small and codes.dtype in ("F8_E4M3", "U8")


def measure(scheme: Scheme, infos: Infos) -> Measured:
    checks.decoded(scheme, BITS, LAYOUTS, "weights")
    kind, swizzled = _read(scheme)
    group = _GROUPS[kind]
    if scheme.block != (1, group):
        raise UnsupportedFormat(
            "unsupported-group-size",
            f"{kind} is decoded in groups of {group} inputs, the header has {scheme.block or 'none'}",
            where="block_size",
        )
    needed = (_CODES, _SCALES, *((_WHOLE,) if scheme.strategy else ()))
    checks.present(infos, needed, (*needed, TENSORS[3]))
    checks.dtype(infos, _CODES, ("U8",) if scheme.bits == 4 else ("F8_E4M3", "U8"))
    checks.dtype(infos, _SCALES, _KEPT[kind])
    out_features, width = checks.matrix(infos, _CODES)
    in_features = width * 8 // scheme.bits
    if in_features % group:
        raise checks.bad_shape(infos, _CODES, f"{in_features} inputs are no whole groups of {group}")
    groups = in_features // group
    due = (-(-out_features // _TALL) * _ROWS, -(-groups // _WIDE) * _BYTES) if swizzled else (out_features, groups)
    if infos[_SCALES].shape != due:
        raise checks.bad_shape(infos, _SCALES, f"codes {list(infos[_CODES].shape)} need {list(due)}")
    if scheme.strategy:
        checks.dtype(infos, _WHOLE, ("F32",))
        if infos[_WHOLE].shape != ():
            raise checks.bad_shape(infos, _WHOLE, "expected one number, without axes")
    return Measured(out_features, in_features, FLOATS[str(scheme.dtype)])


def decode(scheme: Scheme, tensors: Tensors) -> Scaled:
    found = measure(scheme, checks.headers(tensors))
    kind, swizzled = _read(scheme)
    block = (1, _GROUPS[kind])
    bytes_ = tensors[_SCALES]
    if swizzled:
        bytes_ = _untiled(bytes_, found.out_features, found.in_features // block[1])
    if kind == _MX:
        scales = e8m0(bytes_)
        checks.finite({_SCALES: scales}, _SCALES)
        return Scaled(
            tensors[_CODES], "e4m3" if scheme.bits == 8 else "e2m1", scales, block, found.dtype, exponents=bytes_
        )
    scales = e4m3(bytes_)
    checks.finite({_SCALES: scales}, _SCALES)
    alone = True
    if scheme.strategy:
        checks.finite(tensors, _WHOLE)
        alone = bool((tensors[_WHOLE] == 1).item())
        # By NumPy: other devices than a CPU need not keep subnormal products.
        with np.errstate(all="ignore"):
            scales = mx.array(np.array(scales) * np.array(tensors[_WHOLE]))
        checks.finite({_WHOLE: scales}, _WHOLE)
    return Scaled(tensors[_CODES], "e2m1", scales, block, found.dtype, bytes_=bytes_ if alone else None)


def remarks(scheme: Scheme, tensors: Tensors) -> list[str]:
    return list(scheme.notes)


def stand_in(scheme: Scheme, leaf: str, infos: Infos) -> mx.array:
    """The scale of the matrix is not 1, as in every checkpoint that is made of data."""
    made = mx.zeros(infos[leaf].shape, infos[leaf].mlx_dtype)
    return made + 2 if leaf == _WHOLE else made


def _read(scheme: Scheme) -> tuple[str, bool]:
    """The class of a layout, and whether its scales are swizzled."""
    return scheme.layout.removesuffix(_SWIZZLED), scheme.layout.endswith(_SWIZZLED)


def _untiled(scales: mx.array, out_features: int, groups: int) -> mx.array:
    """[out, groups] of bytes that lie in tiles."""
    down, across = scales.shape[0] // _ROWS, scales.shape[1] // _BYTES
    tiles = scales.reshape(down, across, _ROWS, _TALL // _ROWS, _WIDE).transpose(0, 3, 2, 1, 4)
    return mx.contiguous(tiles.reshape(down * _TALL, across * _WIDE)[:out_features, :groups])
