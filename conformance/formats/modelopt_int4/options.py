"""What ModelOpt's INT4 is called, what lies in its fixtures, and what can be seen of one of its modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..dialects.modelopt import METHOD
from ..domain import Domain
from ..module import Files
from ..parts import Config, Tensors
from .domain import Codes, Moved
from .packing import ALGORITHM

ID, SLUG, TITLE = "modelopt_int4", "modelopt_int4", "ModelOpt INT4 (AWQ)"
LEAVES = ("weight", "weight_scale", "pre_quant_scale", "input_scale")
MARKS = ("weight_scale",)
NOT_APPLICABLE: dict[str, str] = {}
FILES = Files(
    vectors=("modelopt-0.47.0",),
    checkpoints=("qwen2-modelopt-int4-awq",),
    heard=("qwen2-modelopt-int4-awq",),
    digests=("modelopt-0.47.0",),
)
# Scales are float32, always.
COLUMNS: dict[str, tuple[str, ...]] = {
    "scales of groups": ("bits-4",),
    "scales of inputs": ("pre_quant_scale",),
    "bfloat16 scales": (),
    "float32 scales": (),
}
BRIEF: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {"ModelOpt INT4": ((), ())}


def names(config: Config) -> bool:
    return config.get("quant_method") == METHOD and str(config.get("quant_algo")).upper() == ALGORITHM


def said_width(config: Config) -> Any:
    return 4


def domains() -> Iterator[Domain]:
    yield Codes(SLUG)
    yield Moved(f"{SLUG}-scaled-inputs")


def flags(config: Config, tensors: Tensors) -> set[str]:
    found = {"bits-4", "modelopt", "symmetric"}
    if "pre_quant_scale" in tensors:
        found.add("pre_quant_scale")
    if "weight" in tensors and "weight_scale" in tensors:
        width, groups = tensors["weight"].bits.shape[-1], tensors["weight_scale"].bits.shape[-1]
        # MLX has no such groups, or its last one would not be full.
        if width % groups or width // groups % 32:
            found.add("ragged")
    return found
