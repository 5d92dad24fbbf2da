"""What LLM.int8 is called, what lies in its fixtures, and what can be seen of one of its modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..dialects import bitsandbytes as dialect
from ..domain import Domain
from ..module import Files
from ..parts import Config, Tensors
from .domain import Codes

ID, SLUG, TITLE = "bnb_int8", "bnb_int8", "bitsandbytes int8"
LEAVES = ("weight", "SCB", "weight_format")
MARKS = ("SCB",)
NOT_APPLICABLE = {"affine": "two products are rounded, and MLX's affine form has one; decoded to dense"}
FILES = Files(
    vectors=("bitsandbytes-0.50.2",),
    checkpoints=("qwen2-bnb-int8",),
    heard=("qwen2-bnb-int8",),
    digests=("bitsandbytes-0.50.2",),
)
# Scales are float32, always.
COLUMNS: dict[str, tuple[str, ...]] = {
    "a scale an output": ("bits-8",),
    "bfloat16 scales": (),
    "float32 scales": (),
}
BRIEF: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {"bitsandbytes int8": ((), ())}


def names(config: Config) -> bool:
    return dialect.bits_of(config) == 8


def said_width(config: Config) -> Any:
    return 8


def domains() -> Iterator[Domain]:
    yield Codes(SLUG)


def flags(config: Config, tensors: Tensors) -> set[str]:
    found = {"bits-8"}
    if "weight" in tensors and any(size % 8 for size in tensors["weight"].shape):
        found.add("odd")
    return found
