"""What metal is called, what lies in its fixtures, and what can be seen of one of its modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .. import flags as shared
from ..domain import Domain
from ..module import Files
from ..parts import Config, Tensors
from .domain import Steps
from .packing import METHOD, WIDTHS, group_size, width

ID, SLUG, TITLE = "metal", "metal", "transformers' metal"
LEAVES = ("weight", "scales", "qbiases")
MARKS = ("qbiases",)
NOT_APPLICABLE: dict[str, str] = {}
FILES = Files(
    vectors=("transformers-5.23.0",),
    checkpoints=("qwen2-metal-4bit-g64",),
    heard=("qwen2-metal-4bit-g64",),
    digests=("transformers-5.23.0",),
)
COLUMNS = {
    "group size 32, 64, 128": ("group-size-32", "group-size-64", "group-size-128"),
    "2 and 8 bits": ("bits-2", "bits-8"),
}
BRIEF: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {"metal": ((), ())}


def names(config: Config) -> bool:
    return str(config.get("quant_method") or config.get("method")).lower() == METHOD


def said_width(config: Config) -> Any:
    return width(config)


def domains() -> Iterator[Domain]:
    for bits in WIDTHS[:2]:
        yield Steps(SLUG if bits == WIDTHS[0] else f"{SLUG}-{bits}bit", bits)


def flags(config: Config, tensors: Tensors) -> set[str]:
    size = group_size(config, 0)
    found = {f"bits-{width(config)}", shared.group_size(size)}
    if size > 0 and not shared.affine(size, size):
        found.add("ragged")
    return found | ({f"scales-{tensors['scales'].dtype}"} if "scales" in tensors else set())
