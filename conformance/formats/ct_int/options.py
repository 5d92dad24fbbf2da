"""What ``int-quantized`` is called, what lies in its fixtures, and what can be seen of one of its modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..dialects import compressed_tensors as dialect
from ..domain import Domain, IntegerDomain
from ..module import Files
from ..parts import Config, Tensors
from .addresses import LAYOUT
from .packing import FORMATS, config, pack

ID, SLUG, TITLE = "ct_int", "ct_int", "compressed-tensors, int8"
LEAVES = ("weight", "weight_scale", "weight_zero_point", "input_scale", "input_zero_point")
MARKS = ("weight_scale",)
NOT_APPLICABLE: dict[str, str] = {}
FILES = Files(
    vectors=("compressed-tensors-0.19.0",),
    checkpoints=("llama-ct-w8a8-channel",),
    heard=("llama-ct-w8a8-channel",),
    digests=("compressed-tensors-0.19.0",),
)
COLUMNS = {
    "symmetric": ("symmetric",),
    "asymmetric": ("asymmetric",),
    "a scale a channel or tensor": ("strategy-channel", "strategy-tensor"),
}
BRIEF: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {"compressed-tensors int8": ((), ())}


def names(config: Config) -> bool:
    group = dialect.first(config)
    return dialect.named(config) in FORMATS and (group or {}).get("weights", {}).get("type", "int") == "int"


def said_width(config: Config) -> Any:
    group = dialect.first(config)
    return None if group is None else group["weights"].get("num_bits")


def domains() -> Iterator[Domain]:
    """Every bfloat16 scale, which is what such files have; of the others the corners."""
    yield IntegerDomain(SLUG, 8, config, pack, LAYOUT, ("bfloat16",))


def flags(config: Config, tensors: Tensors) -> set[str]:
    found = dialect.flags(config) | {f"scales-{tensors['weight_scale'].dtype}"}
    if any(size % 32 for size in tensors["weight"].shape):
        found.add("odd-width")
    # MLX's last group is not full.
    if tensors["weight"].shape[1] % 32:
        found.add("ragged")
    return found
