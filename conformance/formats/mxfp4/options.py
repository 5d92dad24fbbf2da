"""What MXFP4 is called, what lies in its fixtures, and what can be seen of one of its modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...bits.array import Array
from ...bits.floats import E2M1
from ..dialects import compressed_tensors as dialect
from ..dialects import deepseek, quark
from ..domain import Domain
from ..module import Files
from ..parts import Config, Tensors
from ..scaled import SMALL, ScaledDomain
from .packing import DEEPSEEK, GPT_OSS, MODELOPT, PAIRS, blocks, halves, is_compressed, parts

ID, SLUG, TITLE = "mxfp4", "mxfp4", "MXFP4"
LEAVES = ("_blocks", "_scales", "weight_packed", "weight", "weight_scale", "scale", "input_scale", "input_global_scale")
MARKS = ("_blocks", "weight_packed", "weight_scale")
NOT_APPLICABLE = {"affine": "a float times a scale has no whole numbers; MLX's mxfp4 is compared in tests/core"}
FILES = Files(
    vectors=("transformers-5.23.0", "modelopt-0.47.0", "compressed-tensors-0.19.0"),
    checkpoints=("gpt-oss-mxfp4", "qwen2-ct-mxfp4"),
    heard=("gpt-oss-mxfp4",),
    digests=("transformers-5.23.0", "compressed-tensors-0.19.0"),
)
# Scales are small floats, always.
COLUMNS: dict[str, tuple[str, ...]] = {
    "experts of gpt-oss": ("gpt-oss",),
    "ModelOpt": ("modelopt",),
    "compressed-tensors": (dialect.NAME,),
    "DeepSeek V4": ("deepseek",),
    "bfloat16 scales": (),
    "float32 scales": (),
}
BRIEF: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {"MXFP4": ((), ())}


def names(config: Config) -> bool:
    if config.get("quant_method") == "modelopt":
        return str(config.get("quant_algo")).lower() in MODELOPT
    if quark.dtype(config) == "fp4" or deepseek.reads(config):
        return True
    return str(config.get("quant_method")).lower() == "mxfp4" or is_compressed(config)


def said_width(config: Config) -> Any:
    return 4


def domains() -> Iterator[Domain]:
    """All sixteen codes with all bytes: nothing is left out."""

    def made(codes: np.ndarray, scales: Array) -> tuple[dict[str, Any], dict[str, Array]]:
        return dict(GPT_OSS), blocks(codes, scales.bits[:, None])

    def experts(codes: np.ndarray, scales: Array) -> tuple[dict[str, Any], dict[str, Array]]:
        return dict(DEEPSEEK), halves(codes, scales.bits[:, None])

    yield ScaledDomain(SLUG, E2M1, (SMALL,), (SMALL,), made, parts)
    yield ScaledDomain(f"{SLUG}-deepseek", E2M1, (SMALL,), (SMALL,), experts, parts)


def flags(config: Config, tensors: Tensors) -> set[str]:
    found = {"bits-4"}
    names = next((pair for pair in PAIRS if pair[0] in tensors and pair[1] in tensors), None)
    if config.get("quant_method") == "modelopt":
        found.add("modelopt")
    if names is None:
        return found
    if names[0] == "_blocks":
        found.add("gpt-oss")
    return found | ({"experts"} if tensors[names[1]].bits.ndim == 3 else set())
