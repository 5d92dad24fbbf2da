"""NVFP4, packed and taken apart in NumPy: two codes a byte, a byte of E4M3 for 16 inputs, one float32 for the matrix.

Sources: nvidia-modelopt 0.47.0, ``qtensor/nvfp4_tensor.py``; compressed-tensors 0.19.0, ``compressors/nvfp4/base.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.fields import nibbles
from ...bits.floats import E2M1, E2M1_UNSIGNED_ZERO, E4M3
from ..dialects import compressed_tensors as dialect
from ..parts import Config, Tensors
from ..scaled import Scaled

WIDTHS = (4,)
GROUP, WIDTH = 16, 8
FORMAT = "nvfp4-pack-quantized"
# ModelOpt's algorithms of this packing; they differ in what becomes of activations.
MODELOPT = ("nvfp4", "w4a16_nvfp4", "w4a8_nvfp4_fp8")
SMALL = "float8_e4m3fn"


def config(bits: int, group_size: int) -> dict[str, Any]:
    return compressed()


def compressed(form: str = FORMAT, **changes: Any) -> dict[str, Any]:
    own = {"num_bits": 4, "type": "float", "symmetric": True, "strategy": "tensor_group", "group_size": GROUP}
    return dialect.grouped(form, own | changes)


def modelopt(algorithm: str = "NVFP4") -> dict[str, Any]:
    return {"quant_method": "modelopt", "quant_algo": algorithm}


def is_compressed(config: Config) -> bool:
    return dialect.is_of_floats(config, FORMAT)


def config_of(config: Config, module: str) -> dict[str, Any]:
    return dict(config)


def pack(codes: np.ndarray, zeros: np.ndarray, scales: Array, *, bits: int = 4) -> dict[str, Array]:
    """Codes [out, in] and bytes of E4M3 [out, in / 16] under compressed-tensors' names; the matrix has a scale of 1."""
    return named(compressed(), codes, scales.bits, np.ones(1, np.float32))


def named(config: Config, codes: np.ndarray, scales: np.ndarray, whole: np.ndarray) -> dict[str, Array]:
    """A module under the names that its config has for them; ``whole`` is float32, the scale of the matrix."""
    codes_, whole_ = names_of(config)
    return {
        codes_: Array("uint8", nibbles(codes)),
        "weight_scale": Array(SMALL, scales.astype(np.uint8)),
        whole_: number(whole),
    }


def number(value: np.ndarray | float) -> Array:
    """float32, without axes where it has none."""
    return Array("float32", np.array(value, np.float32).view(np.uint32))


def names_of(config: Config) -> tuple[str, str]:
    """Codes, and the scale of the matrix."""
    return ("weight_packed", "weight_global_scale") if is_compressed(config) else ("weight", "weight_scale_2")


def parts(config: Config, tensors: Tensors) -> Scaled:
    """A sound module taken apart. Scales are products, or quotients, in float32."""
    codes_, whole_ = names_of(config)
    packed, divides = tensors[codes_].bits, is_compressed(config)
    codes = np.stack([packed & 15, packed >> 4], axis=-1).reshape(*packed.shape[:-1], -1).astype(np.int64)
    scales = E4M3[tensors["weight_scale"].bits].astype(np.float32)
    whole = tensors[whole_].bits.view(np.float32)
    whole = whole.reshape(-1, 1, 1) if whole.size > 1 else whole.reshape(())
    with np.errstate(all="ignore"):
        scales = scales / whole if divides else scales * whole
    values = E2M1 if divides else E2M1_UNSIGNED_ZERO
    return Scaled(codes, values, scales.astype(np.float64), (1, GROUP), "bfloat16")


def group_size(config: Config, in_features: int) -> int:
    return GROUP
