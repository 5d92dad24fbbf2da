"""What FP8 is called, what lies in its fixtures, and what can be seen of one of its modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.floats import E4M3
from ..dialects import compressed_tensors as dialect
from ..dialects import deepseek, quark
from ..domain import Domain
from ..module import Files
from ..parts import Config, Tensors
from ..scaled import SMALL, ScaledDomain
from .packing import FBGEMM, MODELOPT, SCALES, block_of, blocks, is_compressed, modelopt, pack, parts

ID, SLUG, TITLE = "fp8", "fp8", "FP8"
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
# Other modules have a scale as well.
MARKS = SCALES[:2]
NOT_APPLICABLE = {"affine": "a float times a scale has no whole numbers; MLX's mxfp8 is compared in tests/core"}
FILES = Files(
    vectors=("transformers-5.23.0", "modelopt-0.47.0", "compressed-tensors-0.19.0", "fbgemm-gpu-genai-1.9.0"),
    checkpoints=("qwen2-fp8-b128", "llama-fp8-ue8m0-b32", "qwen2-fbgemm-fp8"),
    heard=("qwen2-fp8-b128",),
    digests=("transformers-5.23.0", "fbgemm-gpu-genai-1.9.0"),
)
COLUMNS = {
    "blocks": ("blocks",),
    "one scale a matrix or an output": ("tensor", "channel"),
    "powers of two": ("scales-float8_e8m0fnu", "scales-uint8"),
    "ModelOpt": ("modelopt",),
    "compressed-tensors": (dialect.NAME,),
    "DeepSeek V4": ("deepseek-names",),
}
BRIEF: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {"FP8": ((), ())}


def names(config: Config) -> bool:
    if config.get("quant_method") == "modelopt":
        return str(config.get("quant_algo")).lower() in MODELOPT
    if deepseek.reads(config):
        return False
    return config.get("quant_method") in ("fp8", FBGEMM) or is_compressed(config) or quark.dtype(config) == "fp8_e4m3"


def said_width(config: Config) -> Any:
    return 8


def domains() -> Iterator[Domain]:
    def made(codes: np.ndarray, scales: Array) -> tuple[dict[str, Any], dict[str, Array]]:
        return blocks((1, codes.shape[1])), pack(codes, codes, Array(scales.dtype, scales.bits[:, None]))

    def channels(codes: np.ndarray, scales: Array) -> tuple[dict[str, Any], dict[str, Array]]:
        tensors = {"weight": Array("float8_e4m3fn", codes.astype(np.uint8)), "weight_scale": scales}
        return modelopt("FP8_PER_CHANNEL_PER_TOKEN"), tensors

    exhausted, sampled = (SMALL, "bfloat16"), (SMALL, "bfloat16", "float16", "float32")
    yield ScaledDomain(SLUG, E4M3, exhausted, sampled, made, parts)
    # A scale that float16 has not becomes infinite there, and infinity times zero is NaN, of which bits may differ.
    yield ScaledDomain(f"{SLUG}-modelopt", E4M3, (), ("float32",), channels, parts, largest=2.0**15)


def flags(config: Config, tensors: Tensors) -> set[str]:
    found = {"bits-8"}
    stored = next((tensors[name] for name in SCALES if name in tensors), None)
    if stored is None or "weight" not in tensors or tensors["weight"].bits.ndim != 2:
        return found
    out, in_features = tensors["weight"].shape
    block = block_of(config)
    found.add(f"scales-{stored.dtype}")
    if config.get("quant_method") == "modelopt":
        found.add("modelopt")
    if config.get("quant_method") == FBGEMM:
        found.add("fbgemm")
    if "scale" in tensors:
        found.add("deepseek-names")
    if block is None:
        return found | {"tensor" if stored.bits.size == 1 else "channel"}
    found.add("blocks")
    if out % block[0] or in_features % block[1]:
        found.add("ragged")
    return found
