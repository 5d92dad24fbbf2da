"""FP8 in parts, packed and taken apart in NumPy: one byte a weight, and scales of the matrix, of outputs, or of blocks.

Sources: optimum-quanto 0.2.7, ``tensor/qbytes.py``; torchao 0.18.0, ``quantization/quant_primitives.py``,
``_dequantize_affine_float8``, and ``prototype/safetensors`` for what the header of a file says of a tensor.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.floats import E4M3
from ..parts import Config, Tensors
from ..quanto_int8 import packing as of_quanto
from ..scaled import Scaled
from ..torchao_int8 import packing as of_torchao
from ..torchao_int8.packing import described, said

WIDTHS = (8,)
QUANTO, TORCHAO = of_quanto.METHOD, of_torchao.METHOD
KIND, CODE = "Float8Tensor", "float8_e4m3fn"
TYPES = ("qfloat8_e4m3fn", "qfloat8", "float8")
# Codes and scales by the method of a config.
NAMES = {QUANTO: ("weight._data", "weight._scale"), TORCHAO: ("_weight_qdata", "_weight_scale")}


def quanto(weights: str = TYPES[0], activations: str | None = "none") -> dict[str, Any]:
    return {"quant_method": QUANTO, "weights": weights, "activations": activations}


def entry(block: list[int], dtype: str = "bfloat16", **changes: Any) -> dict[str, Any]:
    """What the header of a file says of one weight, before it is made a text; ``changes`` are attributes."""
    own = {"block_size": block, "mm_config": None, "act_quant_kwargs": None, "kernel_preference": None}
    said = own | {"dtype": {"_type": "torch.dtype", "_data": dtype}} | changes
    return {"_type": KIND, "_data": said, "_tensor_data_names": ["qdata", "scale"]}


def torchao(block: tuple[int, int], dtype: str = "bfloat16", **changes: Any) -> dict[str, Any]:
    return described(entry(list(block), dtype, **changes))


def config(bits: int, group_size: int) -> dict[str, Any]:
    """torchao's: quanto has a scale for each output alone."""
    return torchao((1, group_size), "float16")


def method(config: Config) -> str:
    return str(config.get("quant_method") or config.get("method")).lower()


def names_of(config: Config) -> tuple[str, str]:
    return NAMES[method(config)]


def config_of(config: Config, module: str) -> dict[str, Any]:
    return of_quanto.config_of(config, module) if method(config) == QUANTO else of_torchao.config_of(config, module)


def block_of(config: Config, out: int, in_features: int) -> tuple[int, int]:
    if method(config) == QUANTO:
        return 1, in_features
    block = said(config)["_data"]["block_size"]
    return (block[0], block[1]) if block else (out, in_features)


def group_size(config: Config, in_features: int) -> int:
    return block_of(config, 1, in_features)[1]


def pack(codes: np.ndarray, zeros: np.ndarray, scales: Array, *, bits: int = 8) -> dict[str, Array]:
    """Bytes [out, in] and scales [groups, out] of torchao's; there are no zero points."""
    return stored(TORCHAO, codes, Array(scales.dtype, np.ascontiguousarray(scales.bits.T)))


def stored(method: str, codes: np.ndarray, scales: Array) -> dict[str, Array]:
    """Bytes [out, in] and scales as they lie in a file."""
    first, second = NAMES[method]
    return {first: Array(CODE, codes.astype(np.uint8)), second: scales}


def parts(config: Config, tensors: Tensors) -> Scaled:
    """A sound module taken apart."""
    codes, scales = (tensors[name] for name in names_of(config))
    out, in_features = codes.shape
    block = block_of(config, out, in_features)
    own = scales.dtype if method(config) == QUANTO else said(config)["_data"]["dtype"]["_data"]
    values = scales.float64().reshape(out // block[0], in_features // block[1])
    return Scaled(codes.bits.astype(np.int64), E4M3, values, block, own)
