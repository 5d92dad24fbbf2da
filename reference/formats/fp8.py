"""FP8: E4M3 codes in ``weight`` and a scale for the matrix, for each output, or for each block of it.

Formulas: transformers 5.23.0, ``integrations/finegrained_fp8.py`` (``Fp8Dequantize._dequantize_one``, and
``_dequantize_fp8_weight`` for blocks cut short at an edge); compressed-tensors 0.19.0, ``_dequantize`` of
``quantization/lifecycle/forward_helpers.py``; nvidia-modelopt 0.47.0, ``quantization/qtensor/fp8_tensor.py``;
fbgemm-gpu-genai 1.9.0, ``experimental/gemm/triton_gemm/fp8_gemm.py`` (``_kernel_dequantize_fp8_row``, whose scales
transformers' ``FbgemmFp8Linear`` casts to float32 first).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ..config import Config, setting
from ..dialects import group_of, of_fours, only_group, quark, quark_scheme, quark_type, quark_weight
from ..unpacked import Refused

SLUG = "fp8"
LEAVES = (
    "weight_scale_inv",
    "weight_scale",
    "weight",
    "scale",
    "input_scale",
    "activation_scale",
    "k_scale",
    "v_scale",
)
MARKS = ("weight_scale_inv", "weight_scale", "scale")

# compressed-tensors' formats of this packing; ModelOpt's algorithms, with their blocks.
FBGEMM = "fbgemm_fp8"
COMPRESSED = ("float-quantized", "naive-quantized", "mxfp8-quantized")
MODELOPT = {"fp8": None, "fp8_per_channel_per_token": None, "fp8_pb_wo": (128, 128), "mxfp8": (1, 32)}


def names(config: Config) -> bool:
    """Whether the config is of this format."""
    method = setting(config, "quant_method")
    if method == "modelopt":
        return str(config.get("quant_algo")).lower() in MODELOPT
    if of_fours(config):
        return False
    return method in (SLUG, FBGEMM) or _compressed(config) or quark_type(config) == "fp8_e4m3"


def _compressed(config: Config) -> bool:
    if "config_groups" not in config:
        return False
    format, kind = group_of(config)
    return format in COMPRESSED and kind == "float"


@dataclass
class Blocks:
    """Codes float8_e4m3fn [out, in]; scales [rows, columns] of blocks; the dtype of the definition, and its steps."""

    codes: torch.Tensor
    scales: torch.Tensor
    block: tuple[int, int]
    dtype: torch.dtype
    rounds_scales: bool

    def dense(self, dtype: torch.dtype | None = None) -> torch.Tensor:
        """Each weight is the float32 product of its code and its scale, then rounded to ``dtype``."""
        dtype = dtype or self.dtype
        scales = self.scales.to(dtype).to(torch.float32) if self.rounds_scales else self.scales.to(torch.float32)
        weight = self.codes.to(torch.float32)
        rows, columns = self.block
        for row in range(scales.shape[0]):
            for column in range(scales.shape[1]):
                block = slice(row * rows, (row + 1) * rows), slice(column * columns, (column + 1) * columns)
                weight[block] = weight[block] * scales[row, column]
        return weight.to(dtype)


def unpack(config: Config, tensors: Mapping[str, torch.Tensor]) -> Blocks:
    """Codes and scales of one module; Refused where the formulas do not apply."""
    method = setting(config, "quant_method")
    if method == SLUG and str(config.get("fmt") or "e4m3").lower() not in ("e4m3", "float8_e4m3fn"):
        raise Refused(f"fmt is {config['fmt']!r}, expected e4m3")
    if method == SLUG and str(config.get("scale_fmt") or "float").lower() not in ("float", "ue8m0"):
        raise Refused(f"scale_fmt is {config['scale_fmt']!r}, expected float or ue8m0")
    if method == SLUG and str(config.get("expert_dtype") or "fp8").lower() not in ("fp8", "fp4"):
        raise Refused(f"expert_dtype is {config['expert_dtype']!r}, expected fp8 or fp4")
    for name in tensors:
        if name not in (*LEAVES, "bias"):
            raise Refused(f"{name} is no tensor of FP8")
    found = [name for name in MARKS if name in tensors]
    if "weight" not in tensors or len(found) != 1:
        raise Refused(f"needs weight and one scale, found {sorted(tensors)}")
    codes, scales = tensors["weight"], tensors[found[0]]
    if codes.dtype != torch.float8_e4m3fn or codes.ndim != 2 or codes.numel() == 0:
        raise Refused(f"weight is {codes.dtype} {tuple(codes.shape)}, expected float8_e4m3fn with two axes")
    stored = scales.dtype
    if method == FBGEMM:
        return _by_outputs(codes, scales)
    scales = _values(scales)
    if not torch.isfinite(scales).all():
        raise Refused("scales are not all finite")
    block = _block(config)
    if found[0] == "scale" and block and tuple(scales.shape) == (len(codes), -(-codes.shape[1] // block[1])):
        # ``_dequantize_one`` takes the height of a block from the grid, and V4.1's embeddings have a scale a row.
        block = (1, block[1])
    block, scales = _blocks(block, tuple(codes.shape), scales)
    half = stored in (torch.float16, torch.bfloat16)
    own = stored if half or (stored == torch.float32 and _compressed(config)) else torch.bfloat16
    modelopt = method == "modelopt"
    return Blocks(codes, scales, block, torch.bfloat16 if modelopt else own, modelopt)


def _by_outputs(codes: torch.Tensor, scales: torch.Tensor) -> Blocks:
    """FBGEMM's rows: a float for each output, and bfloat16 from it."""
    out, inputs = codes.shape
    if scales.dtype not in (torch.float32, torch.float16, torch.bfloat16):
        raise Refused(f"scales have dtype {scales.dtype}")
    if tuple(scales.shape) not in ((out,), (out, 1)) or not torch.isfinite(scales).all():
        raise Refused(f"scales {tuple(scales.shape)}, expected one finite number for each of {out} outputs")
    return Blocks(codes, scales.to(torch.float32).reshape(out, 1), (1, inputs), torch.bfloat16, False)


def pack(
    config: Config, q: torch.Tensor, z: torch.Tensor, s: torch.Tensor, g: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """``q`` [out, in] are the bytes of codes, ``s`` [rows, columns] the scales; there are no zero points."""
    return {"weight": q.to(torch.uint8).view(torch.float8_e4m3fn), "weight_scale_inv": s}


def _values(scales: torch.Tensor) -> torch.Tensor:
    """Scales as float32, or in their own 16 bits. A byte of E8M0 is an exponent, whether it says so or not."""
    if scales.dtype in (torch.float32, torch.float16, torch.bfloat16):
        return scales
    if scales.dtype in (torch.uint8, torch.float8_e8m0fnu):
        bytes_ = scales.view(torch.uint8).to(torch.float64)
        return torch.where(bytes_ == 255, torch.nan, torch.pow(2.0, bytes_ - 127.0)).to(torch.float32)
    raise Refused(f"scales have dtype {scales.dtype}")


def _block(config: Config) -> tuple[int, int] | None:
    method = setting(config, "quant_method")
    if method == "modelopt":
        return MODELOPT[str(config.get("quant_algo")).lower()]
    if _compressed(config):
        return _block_of_group(only_group(config)["weights"])
    if quark(config):
        return _block_of_quark(config)
    # FP8Config of amd-quark 0.13 (``quant_config_parser.py``) is of one scale a matrix, and has ``export`` beside it.
    value: Any = config.get("weight_block_size", None if "export" in config else (128, 128))
    if value is None:
        return None
    if not isinstance(value, (list, tuple)) or len(value) != 2 or any(type(n) is not int or n < 1 for n in value):
        raise Refused(f"weight_block_size is {value!r}, expected two positive numbers")
    return value[0], value[1]


def _block_of_quark(config: Config) -> tuple[int, int] | None:
    weight = quark_weight(config)
    block: Any = weight.get("block_size")
    if weight.get("qscheme") == "per_block" and isinstance(block, (list, tuple)) and len(block) == 2:
        return block[0], block[1]
    if (scheme := quark_scheme(config)) not in ("per_tensor", "per_channel"):
        raise Refused(f"FP8 of qscheme {scheme!r}")
    return None


def _block_of_group(weights: Mapping[str, Any]) -> tuple[int, int] | None:
    bits, symmetric = weights.get("num_bits", 8), weights.get("symmetric", True)
    if bits != 8 or symmetric is not True:
        raise Refused(f"{bits!r} bits, symmetric {symmetric!r}; E4M3 has 8 and is symmetric")
    size, block = weights.get("group_size"), weights.get("block_structure")
    if isinstance(block, str):
        block = [int(number) for number in block.split("x")]
    strategy = weights.get("strategy") or ("tensor" if size is None else "channel" if size == -1 else "group")
    if strategy == "group" and type(size) is int and size > 0:
        return 1, size
    if strategy == "block" and isinstance(block, (list, tuple)) and len(block) == 2 and min(block) > 0:
        return block[0], block[1]
    if strategy in ("tensor", "channel"):
        return None
    raise Refused(f"strategy {strategy!r} with group_size {size!r} and block_structure {block!r}")


def _blocks(
    block: tuple[int, int] | None, shape: tuple[int, ...], scales: torch.Tensor
) -> tuple[tuple[int, int], torch.Tensor]:
    """The block that each scale covers, and the scales as a matrix."""
    out, inputs = shape
    if block is not None:
        rows, columns = -(-out // block[0]), -(-inputs // block[1])
        if tuple(scales.shape) not in ((rows, columns), (rows, 1, columns, 1)):
            raise Refused(f"{shape} in blocks of {block} take {(rows, columns)} scales, not {tuple(scales.shape)}")
        return block, scales.reshape(rows, columns)
    if scales.numel() == 1 and scales.ndim <= 2:
        return (out, inputs), scales.reshape(1, 1)
    if tuple(scales.shape) in ((out,), (out, 1)):
        return (1, inputs), scales.reshape(out, 1)
    raise Refused(f"scales have shape {tuple(scales.shape)}, expected one, or one for each of {out} outputs")
