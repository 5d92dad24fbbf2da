"""NVFP4: two E2M1 codes a byte, the low nibble first, a byte of E4M3 for 16 inputs, and one float32 for the matrix.

On disk, of a matrix, or of a stack of experts, whose axis comes first:

    ModelOpt            ``weight`` U8 [out, in / 2], ``weight_scale`` F8_E4M3 [out, in / 16], ``weight_scale_2`` F32 []
    compressed-tensors  ``weight_packed``, ``weight_scale``, and ``weight_global_scale`` F32 [1], which divides

    layout                W, in bfloat16
    modelopt              RN(RN32(value * RN32(scale * scale_2))), of which code 8 is +0
    nvfp4-pack-quantized  RN(RN32(value * RN32(scale / global_scale)))

Where the scale of the matrix is 1, MLX's nvfp4 holds it. Otherwise only mlx-lm's stacks of experts take such a scale,
as the largest magnitude that a module has, by which MLX multiplies in another order; so it is decoded to dense.

Sources: nvidia-modelopt 0.47.0, ``qtensor/nvfp4_tensor.py``; compressed-tensors 0.19.0, ``compressors/nvfp4/base.py``.
"""

from __future__ import annotations

import math

import mlx.core as mx
import numpy as np

from ..dialects.schemes import Scheme
from ..errors import UnsupportedFormat
from ..weights.floats import e4m3
from ..weights.scaled import Scaled
from . import checks
from .protocol import Infos, Measured, Status, Tensors

ID = "nvfp4"
TITLE = "NVFP4"
STATUS: Status = "enabled"
BITS = (4,)
LAYOUTS = ("modelopt", "nvfp4-pack-quantized")
MARKS = (".weight_packed", ".weight_scale", ".weight_scale_2", ".weight_global_scale")
# Of activations and of the cache: known, and not read.
_BESIDES = (".input_scale", ".input_global_scale", ".k_scale", ".v_scale")
TENSORS = (".weight_packed", ".weight", *MARKS[1:], *_BESIDES)

_GROUP, _WIDTH = 16, 8
_CODES, _SCALES = ("U8",), ("F8_E4M3", "U8")
# By layout: codes, and the scale of the matrix.
_NAMES = {"modelopt": ("weight", "weight_scale_2"), "nvfp4-pack-quantized": ("weight_packed", "weight_global_scale")}


def recognises(infos: Infos) -> bool:
    scales = infos.get("weight_scale")
    if scales is None or scales.dtype not in _SCALES or not scales.shape:
        return False
    due = (*scales.shape[:-1], scales.shape[-1] * _WIDTH)
    return any(
        codes in infos and whole in infos and infos[codes].dtype in _CODES and infos[codes].shape == due
        for codes, whole in _NAMES.values()
    )


def measure(scheme: Scheme, infos: Infos) -> Measured:
    checks.decoded(scheme, BITS, LAYOUTS, "quant_method")
    if scheme.block != (1, _GROUP):
        raise UnsupportedFormat(
            "unsupported-group-size",
            f"NVFP4 has groups of {_GROUP} inputs, the configuration has {scheme.block or 'none'}",
            where="group_size",
        )
    codes, whole = _NAMES[scheme.layout]
    checks.present(infos, (codes, "weight_scale", whole), (codes, "weight_scale", whole, *_BESIDES))
    checks.dtype(infos, codes, _CODES)
    checks.dtype(infos, "weight_scale", _SCALES)
    checks.dtype(infos, whole, ("F32",))
    experts, out_features, groups = checks.stack(infos, "weight_scale")
    due = (*infos["weight_scale"].shape[:-1], groups * _WIDTH)
    if infos[codes].shape != due:
        raise checks.bad_shape(infos, codes, f"scales {list(infos['weight_scale'].shape)} need {list(due)}")
    # A number without axes would have compressed-tensors' reader divide in bfloat16.
    one = ((), (1,)) if scheme.layout == "modelopt" else ((1,),)
    stack = () if experts is None else ((experts,), (experts, 1), (experts, 1, 1))
    if infos[whole].shape not in (*one, *stack):
        raise checks.bad_shape(infos, whole, "expected one number" + (", or one for each expert" if experts else ""))
    return Measured(out_features, groups * _GROUP, mx.bfloat16, experts)


def decode(scheme: Scheme, tensors: Tensors) -> Scaled:
    infos = checks.headers(tensors)
    found = measure(scheme, infos)
    codes, whole = _NAMES[scheme.layout]
    bytes_ = tensors["weight_scale"]
    scales, matrix = e4m3(bytes_), tensors[whole]
    checks.finite({"weight_scale": scales}, "weight_scale")
    checks.finite(tensors, whole)
    alone = bool(mx.all(matrix == 1).item())
    axes = (-1, 1, 1) if math.prod(matrix.shape) > 1 else (1,) * bytes_.ndim
    divides = scheme.layout != "modelopt"
    # By NumPy: other devices than a CPU need not round quotients, nor keep subnormal products.
    combined = np.divide if divides else np.multiply
    with np.errstate(all="ignore"):
        scales = mx.array(combined(np.array(scales), np.array(matrix).reshape(axes)))
    checks.finite({whole: scales}, whole)
    return Scaled(
        codes=tensors[codes],
        values="e2m1" if divides else "e2m1-unsigned-zero",
        scales=scales,
        block=(1, _GROUP),
        dtype=found.dtype,
        bytes_=bytes_ if alone else None,
    )


def remarks(scheme: Scheme, tensors: Tensors) -> list[str]:
    return []  # no label of this packing contradicts its data


def stand_in(scheme: Scheme, leaf: str, infos: Infos) -> mx.array:
    """The scale of the matrix is not 1, as in every checkpoint that is made of data."""
    made = mx.zeros(infos[leaf].shape, infos[leaf].mlx_dtype)
    return made + 2 if leaf in ("weight_scale_2", "weight_global_scale") else made
