"""MXFP4, packed and taken apart in NumPy: two codes a byte, the low nibble first, and a byte of E8M0 for 32 inputs.

Sources: transformers 5.23.0, ``integrations/mxfp4.py``; compressed-tensors 0.19.0, ``compressors/mxfp4/base.py``;
nvidia-modelopt 0.47.0, ``qtensor/mxfp4_tensor.py``; of DeepSeek V4's experts the first, ``finegrained_fp8.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.fields import nibbles
from ...bits.floats import E2M1, E8M0
from ..dialects import compressed_tensors as dialect
from ..dialects import deepseek
from ..parts import Config, Tensors
from ..scaled import Scaled

WIDTHS = (4,)
GROUP, WIDTH = 32, 16
FORMAT = "mxfp4-pack-quantized"
# ModelOpt's algorithms of this packing; the second quantises activations as well.
MODELOPT = ("mxfp4", "w4a8_mxfp4_fp8")
GPT_OSS: dict[str, Any] = {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]}
# Codes, and the scales beside them.
PAIRS = (
    ("_blocks", "_scales"),
    ("weight_packed", "weight_scale"),
    ("weight", "weight_scale"),
    ("weight", "scale"),
)
# As a module's own: DeepSeek V4's experts.
DEEPSEEK: dict[str, Any] = deepseek.config(expert_dtype=deepseek.FOURS)


def config(bits: int, group_size: int) -> dict[str, Any]:
    return dict(GPT_OSS)


def compressed(form: str = FORMAT, **changes: Any) -> dict[str, Any]:
    weights = {"num_bits": 4, "type": "float", "symmetric": True, "strategy": "group", "group_size": GROUP, **changes}
    return dialect.grouped(form, weights)


def modelopt(algorithm: str = "MXFP4") -> dict[str, Any]:
    return {"quant_method": "modelopt", "quant_algo": algorithm}


def is_compressed(config: Config) -> bool:
    return dialect.is_of_floats(config, FORMAT)


def config_of(config: Config, module: str) -> dict[str, Any]:
    return dict(config)


def pack(codes: np.ndarray, zeros: np.ndarray, scales: Array, *, bits: int = 4) -> dict[str, Array]:
    """Codes [out, in] and bytes [out, in / 32] under gpt-oss' names; there are no zero points."""
    return blocks(codes, scales.bits)


def flat(codes: np.ndarray, scales: np.ndarray, leaf: str = "weight_packed") -> dict[str, Array]:
    """The same under compressed-tensors' names, or with codes called ``weight`` as ModelOpt has them."""
    return {leaf: Array("uint8", nibbles(codes)), "weight_scale": Array("uint8", scales.astype(np.uint8))}


def halves(codes: np.ndarray, scales: np.ndarray) -> dict[str, Array]:
    """DeepSeek V4's names and dtypes."""
    return {"weight": Array("int8", nibbles(codes).view(np.int8)), "scale": Array("float8_e8m0fnu", scales)}


def blocks(codes: np.ndarray, scales: np.ndarray) -> dict[str, Array]:
    """gpt-oss' names: [..., out, in / 32, 16], of matrices or of stacks of experts."""
    packed = nibbles(codes)
    return {
        "_blocks": Array("uint8", packed.reshape(*packed.shape[:-1], -1, WIDTH)),
        "_scales": Array("uint8", scales.astype(np.uint8)),
    }


def parts(config: Config, tensors: Tensors) -> Scaled:
    """A sound module taken apart."""
    names = pair_of(tensors)
    packed, exponents = (tensors[name].bits for name in names)
    rows = packed.view(np.uint8).reshape(*exponents.shape[:-1], -1)
    codes = np.stack([rows & 15, rows >> 4], axis=-1).reshape(*rows.shape[:-1], -1).astype(np.int64)
    return Scaled(codes, E2M1, E8M0[exponents], (1, GROUP), "bfloat16")


def pair_of(tensors: Tensors) -> tuple[str, str]:
    """Codes and scales of a sound module."""
    return next(pair for pair in PAIRS if tensors.keys() >= {*pair})


def group_size(config: Config, in_features: int) -> int:
    return GROUP
