"""What Gemma's integers are called, what lies in their fixtures, and what can be seen of one of their modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..domain import Domain
from ..module import Files
from ..parts import Config, Tensors
from .domain import Codes
from .packing import EMBEDDING, LINEAR, METHOD, RULES, WIDTHS, width_of

ID, SLUG, TITLE = "gemma_quant", "gemma_quant", "Gemma int2, int4 and int8"
LEAVES = (*LINEAR, *EMBEDDING, "input_activation_scale", "output_activation_scale")
MARKS = ("weight_scale", *EMBEDDING)
NOT_APPLICABLE: dict[str, str] = {}
FILES = Files(
    vectors=("transformers-5.23.0",),
    checkpoints=("qwen2-gemma-int8-int4",),
    heard=("qwen2-gemma-int8-int4",),
    digests=("transformers-5.23.0",),
)
# Scales are float32, always, and there are no zero points.
COLUMNS: dict[str, tuple[str, ...]] = {
    "a scale an output": ("linear", "embedding"),
    "2 bits": ("bits-2",),
    "8 bits": ("bits-8",),
    "bfloat16 scales": (),
    "float32 scales": (),
}
BRIEF: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {"Gemma int2, int4 and int8": ((), ())}


def names(config: Config) -> bool:
    return str(config.get("quant_method") or config.get("method")).lower() == METHOD


def said_width(config: Config) -> Any:
    """None where the rules are no rules, which is refused."""
    return width_of(config) if isinstance(config.get(RULES) or {}, dict) else None


def domains() -> Iterator[Domain]:
    for bits in WIDTHS:
        yield Codes(SLUG, bits)


def flags(config: Config, tensors: Tensors) -> set[str]:
    bits, embedding = width_of(config), EMBEDDING[0] in tensors
    found = {f"bits-{bits}", "embedding" if embedding else "linear"}
    codes = tensors.get((EMBEDDING if embedding else LINEAR)[0])
    # MLX's last group is not full.
    if codes is not None and codes.shape[-1] * 8 // bits % 32:
        found.add("ragged")
    return found
