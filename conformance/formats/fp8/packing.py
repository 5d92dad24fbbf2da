"""FP8, packed and taken apart in NumPy: one byte a weight, and scales of the matrix, of outputs, or of blocks.

Sources: transformers 5.23.0, ``integrations/finegrained_fp8.py``; nvidia-modelopt 0.47.0, ``qtensor/fp8_tensor.py``;
compressed-tensors 0.19.0, ``quantization/lifecycle/forward_helpers.py``; fbgemm-gpu-genai 1.9.0, ``fp8_gemm.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.floats import E4M3, E8M0
from ..dialects import compressed_tensors as dialect
from ..dialects import quark
from ..parts import Config, Tensors
from ..scaled import Scaled

WIDTHS = (8,)
SCALES = ("weight_scale_inv", "weight_scale", "scale")
# ModelOpt's algorithms of this packing, and their blocks.
MODELOPT = {"fp8": None, "fp8_per_channel_per_token": None, "fp8_pb_wo": (128, 128), "mxfp8": (1, 32)}
# compressed-tensors' formats of this packing, where the type of the weights is float.
COMPRESSED = ("float-quantized", "naive-quantized", "mxfp8-quantized")
FBGEMM = "fbgemm_fp8"
BYTES = ("float8_e8m0fnu", "uint8")


def config(bits: int, group_size: int) -> dict[str, Any]:
    """Blocks as wide as a group and 32 rows high; -1 is one scale for the matrix."""
    return blocks(None if group_size == -1 else (32, group_size))


def blocks(block: tuple[int, int] | None, scale_fmt: str = "float") -> dict[str, Any]:
    """The config of transformers."""
    return {
        "quant_method": "fp8",
        "activation_scheme": "dynamic",
        "scale_fmt": scale_fmt,
        "weight_block_size": None if block is None else list(block),
    }


def modelopt(algorithm: str) -> dict[str, Any]:
    return {"quant_method": "modelopt", "quant_algo": algorithm}


def fbgemm(**changes: Any) -> dict[str, Any]:
    """The config of transformers' other method, whose scales are of outputs."""
    return {"quant_method": FBGEMM, "activation_scale_ub": 1200.0, "modules_to_not_convert": None} | changes


def compressed(form: str, strategy: str, **changes: Any) -> dict[str, Any]:
    """The config of compressed-tensors."""
    weights = {"num_bits": 8, "type": "float", "symmetric": True, "strategy": strategy, **changes}
    return dialect.grouped(form, weights)


def is_compressed(config: Config) -> bool:
    group = dialect.first(config)
    if dialect.named(config) not in COMPRESSED or group is None:
        return False
    return group["weights"].get("type", "int") == "float"


def config_of(config: Config, module: str) -> dict[str, Any]:
    """All of a checkpoint are alike."""
    return dict(config)


def block_of(config: Config) -> tuple[int, int] | None:
    """Rows and columns that share a scale; None where the shape of the scales says it."""
    if config.get("quant_method") == "modelopt":
        return MODELOPT[str(config["quant_algo"]).lower()]
    if config.get("quant_method") == FBGEMM:
        return None
    if is_compressed(config):
        given = dialect.arguments(config)
        return (1, given.size) if given.strategy == "group" else given.block
    if quark.reads(config):
        own = quark.said(config)
        return (own["block_size"][0], own["block_size"][1]) if own["qscheme"] == "per_block" else None
    # What AMD Quark writes under this method has one scale.
    value = config.get("weight_block_size", None if "export" in config else (128, 128))
    return None if value is None else (value[0], value[1])


def grid(block: tuple[int, int], out: int, in_features: int) -> tuple[int, int]:
    """Rows and columns of scales."""
    return -(-out // block[0]), -(-in_features // block[1])


def pack(codes: np.ndarray, zeros: np.ndarray, scales: Array, *, bits: int = 8) -> dict[str, Array]:
    """Bytes [out, in] and scales [rows, columns]; there are no zero points."""
    return {"weight": Array("float8_e4m3fn", codes.astype(np.uint8)), "weight_scale_inv": scales}


def parts(config: Config, tensors: Tensors) -> Scaled:
    """A sound module taken apart."""
    codes = tensors["weight"].bits.astype(np.int64)
    stored = next(tensors[name] for name in SCALES if name in tensors)
    values = E8M0[stored.bits] if stored.dtype in BYTES else stored.float64()
    out, in_features = codes.shape
    block = block_of(config)
    if block is None:
        whole = values.size == 1 and config.get("quant_method") != FBGEMM
        block = (out, in_features) if whole else (1, in_features)
    by_row = (1, block[1])
    if "scale" in tensors and values.shape == grid(by_row, out, in_features):
        block = by_row
    scales = values.reshape(grid(block, out, in_features))
    modelopt = config.get("quant_method") == "modelopt"
    kept = ("float16", "bfloat16", "float32") if is_compressed(config) else ("float16", "bfloat16")
    wide = modelopt or config.get("quant_method") == FBGEMM
    own = stored.dtype if stored.dtype in kept and not wide else "bfloat16"
    return Scaled(codes, E4M3, scales, block, own, modelopt)


def group_size(config: Config, in_features: int) -> int:
    block = block_of(config)
    return in_features if block is None else block[1]
