"""What NVFP4 is called, what lies in its fixtures, and what can be seen of one of its modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..dialects import compressed_tensors as dialect
from ..domain import Domain
from ..module import Files
from ..parts import Config, Tensors
from .domain import UnderOne
from .packing import MODELOPT, compressed, is_compressed, modelopt, names_of

ID, SLUG, TITLE = "nvfp4", "nvfp4", "NVFP4"
MARKS = ("weight_packed", "weight_scale", "weight_scale_2", "weight_global_scale")
LEAVES = ("weight_packed", "weight", *MARKS[1:], "input_scale", "input_global_scale")
NOT_APPLICABLE = {"affine": "a float times a scale has no whole numbers; MLX's nvfp4 is compared in tests/core"}
FILES = Files(
    vectors=("modelopt-0.47.0", "compressed-tensors-0.19.0"),
    checkpoints=("qwen2-modelopt-nvfp4-fp8",),
    heard=("qwen2-modelopt-nvfp4-fp8",),
    digests=("modelopt-0.47.0",),
)
# Scales are small floats, always.
COLUMNS: dict[str, tuple[str, ...]] = {
    "ModelOpt": ("modelopt",),
    "compressed-tensors": (dialect.NAME,),
    "experts": ("experts",),
    "bfloat16 scales": (),
    "float32 scales": (),
}
BRIEF: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {"NVFP4": ((), ())}
# Scales of the matrix: 1, an ordinary one with all of its bits in use, and those that make products small and large.
WHOLE = {"one": 1.0, "ordinary": 0.00012345679, "small": 1.1754944e-38 * 5, "large": 3.1e34}


def names(config: Config) -> bool:
    if config.get("quant_method") == "modelopt":
        return str(config.get("quant_algo")).lower() in MODELOPT
    return is_compressed(config)


def said_width(config: Config) -> Any:
    return 4


def domains() -> Iterator[Domain]:
    """All sixteen codes with all scales of a group, under some scales of the matrix, which multiply or divide."""
    for label, whole in WHOLE.items():
        yield UnderOne(f"{SLUG}-{label}", compressed(), 1 / whole)
        yield UnderOne(f"{SLUG}-modelopt-{label}", modelopt(), whole)


def flags(config: Config, tensors: Tensors) -> set[str]:
    found = {"bits-4"}
    if config.get("quant_method") == "modelopt":
        found.add("modelopt")
    stored = tensors.get(names_of(config)[0])
    return found | ({"experts"} if stored is not None and stored.bits.ndim == 3 else set())
