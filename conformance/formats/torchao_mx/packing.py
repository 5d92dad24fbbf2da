"""torchao's MX and NVFP4, packed and taken apart in NumPy, and the configs that describe them.

Scales of 8 bits are [out, groups], or swizzled: tiles of 128 outputs by 4 groups, one after the other in row order, in
each of which the bytes of output ``o`` begin at ``16 * (o % 32) + 4 * (o // 32)``. What a tile has beyond the matrix is
padding. Sources: torchao 0.18.0, ``prototype/mx_formats``, ``mx_tensor.py``, ``nvfp4_tensor.py``, ``utils.py``; and
``prototype/safetensors`` for what the header of a file says, which is here the ``metadata`` of a config.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.fields import nibbles
from ...bits.floats import E2M1, E4M3, E8M0
from ..nvfp4.packing import number
from ..parts import Config, Tensors
from ..scaled import Scaled
from ..torchao_int8 import packing as of_torchao
from ..torchao_int8.packing import described, said

WIDTHS = (4, 8)
METHOD = of_torchao.METHOD
MX, NVFP4 = "MXTensor", "NVFP4Tensor"
CODES, SCALES, WHOLE = "_weight_qdata", "_weight_scale", "_weight_per_tensor_scale"
ACTIVATIONS = "_weight_act_per_tensor_scale"
# What people call them: the class, inputs that share a scale, and how codes and scales are stored.
MXFP8, MXFP4, FOURS = "mxfp8", "mxfp4", "nvfp4"
KINDS = {
    MXFP8: (MX, 32, "float8_e4m3fn", "float8_e8m0fnu"),
    MXFP4: (MX, 32, "uint8", "float8_e8m0fnu"),
    FOURS: (NVFP4, 16, "uint8", "float8_e4m3fn"),
}
ELEMENTS = {MXFP8: "float8_e4m3fn", MXFP4: "float4_e2m1fn_x2"}
TALL, WIDE, ROWS, BYTES = 128, 4, 32, 16


def entry(
    kind: str = MXFP4, *, swizzled: bool = True, whole: bool = False, dtype: str = "bfloat16", **changes: Any
) -> dict[str, Any]:
    """What the header of a file says of one weight, before it is made a text; ``changes`` are attributes."""
    known: dict[str, Any] = {"block_size": KINDS[kind][1], "orig_dtype": _dtype(dtype)}
    known |= {"act_quant_kwargs": None, "is_swizzled_scales": swizzled}
    if kind == FOURS:
        own: dict[str, Any] = {"use_triton_kernel": False}
    else:
        own = {
            "elem_dtype": _dtype(ELEMENTS[kind]),
            "kernel_preference": {"_type": "KernelPreference", "_data": "AUTO"},
        }
    names = [*(("per_tensor_scale",) if whole else ()), "qdata", "scale"]
    return {"_type": KINDS[kind][0], "_data": known | own | changes, "_tensor_data_names": names}


def _dtype(name: str) -> dict[str, str]:
    return {"_type": "torch.dtype", "_data": name}


def config(bits: int, group_size: int) -> dict[str, Any]:
    return described(entry(MXFP8 if bits == 8 else MXFP4, dtype="float32"))


def config_of(config: Config, module: str) -> dict[str, Any]:
    return of_torchao.config_of(config, module)


def kind_of(config: Config) -> str:
    own = said(config)
    if own["_type"] == NVFP4:
        return FOURS
    return MXFP8 if own["_data"]["elem_dtype"]["_data"] == ELEMENTS[MXFP8] else MXFP4


def is_swizzled(config: Config) -> bool:
    return bool(said(config)["_data"].get("is_swizzled_scales", False))


def group_size(config: Config, in_features: int) -> int:
    return KINDS[kind_of(config)][1]


def pack(codes: np.ndarray, zeros: np.ndarray, scales: Array, *, bits: int = 4) -> dict[str, Array]:
    """Codes [out, in] and bytes of scales [out, in / 32] of MX, swizzled; there are no zero points."""
    return stored(config(bits, 32), codes, scales.bits)


def stored(config: Config, codes: np.ndarray, scales: np.ndarray, whole: float | None = None) -> dict[str, Array]:
    """Codes [out, in] and bytes of scales [out, groups] as they lie in a file; ``whole`` is float32."""
    _, _, codes_as, scales_as = KINDS[kind_of(config)]
    bytes_ = scales.astype(np.uint8)
    packed = nibbles(codes) if codes_as == "uint8" else codes.astype(np.uint8)
    tensors = {
        CODES: Array(codes_as, packed),
        SCALES: Array(scales_as, swizzled(bytes_) if is_swizzled(config) else bytes_),
    }
    return tensors if whole is None else tensors | {WHOLE: number(whole)}


def places(out: int, groups: int) -> np.ndarray:
    """[out, groups]: where each scale lies among the bytes of all tiles."""
    o, g = np.arange(out)[:, None], np.arange(groups)[None, :]
    across = -(-groups // WIDE)
    tile = o // TALL * across + g // WIDE
    row, strip = o % TALL % ROWS, o % TALL // ROWS
    return tile * (TALL * WIDE) + row * BYTES + strip * WIDE + g % WIDE


def swizzled(scales: np.ndarray, padding: int = 0) -> np.ndarray:
    """[32 * tiles down, 16 * tiles across] of [out, groups]."""
    down, across = -(-scales.shape[0] // TALL), -(-scales.shape[1] // WIDE)
    found = np.full(down * across * TALL * WIDE, padding, np.uint8)
    found[places(*scales.shape)] = scales
    return found.reshape(down * ROWS, across * BYTES)


def parts(config: Config, tensors: Tensors) -> Scaled:
    """A sound module taken apart. Scales of NVFP4 are products in float32 where the matrix has one."""
    kind = kind_of(config)
    size, bits = KINDS[kind][1], tensors[CODES].bits
    codes = bits if kind == MXFP8 else np.stack([bits & 15, bits >> 4], axis=-1).reshape(len(bits), -1)
    bytes_ = tensors[SCALES].bits
    if is_swizzled(config):
        bytes_ = bytes_.ravel()[places(len(codes), codes.shape[1] // size)]
    scales = E4M3[bytes_] if kind == FOURS else E8M0[bytes_]
    if "per_tensor_scale" in said(config)["_tensor_data_names"]:
        whole = tensors[WHOLE].bits.view(np.float32)
        with np.errstate(all="ignore"):
            scales = (scales.astype(np.float32) * whole).astype(np.float64)
    values, dtype = E4M3 if kind == MXFP8 else E2M1, said(config)["_data"]["orig_dtype"]["_data"]
    return Scaled(codes.astype(np.int64), values, scales, (1, size), dtype)
