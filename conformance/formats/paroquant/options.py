"""What ParoQuant is called, what lies in its fixtures, and what can be seen of one of its modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .. import flags as shared
from ..domain import Domain
from ..module import Files
from ..parts import Config, Tensors
from ..spelt import written
from .domain import Angles, Scales
from .packing import ANGLES, PAIRS, SLUG
from .packing import COLUMNS as CHANNELS

ID, TITLE = "paroquant", "ParoQuant"
LEAVES = ("qweight", "qzeros", "scales", PAIRS, ANGLES, CHANNELS)
MARKS = ("qweight", PAIRS)
NOT_APPLICABLE: dict[str, str] = {}
FILES = Files(
    vectors=("gptqmodel-7.7.0",),
    checkpoints=("qwen2-paroquant-g128",),
    heard=("qwen2-paroquant-g128",),
    digests=("gptqmodel-7.7.0",),
)
COLUMNS: dict[str, tuple[str, ...]] = {
    "group size 32, 64, 128": ("group-size-32", "group-size-64", "group-size-128"),
    "group size -1": ("group-size--1",),
    "several rotations": ("several-rotations",),
}
BRIEF: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {"ParoQuant": ((SLUG,), ())}


def names(config: Config) -> bool:
    found = written(config)
    return str(found.get("quant_method") or found.get("method")).lower() == SLUG


def said_width(config: Config) -> Any:
    return shared.width(config) or 4


def domains() -> Iterator[Domain]:
    yield Scales(SLUG)
    yield Angles(f"{SLUG}-angles")


def flags(config: Config, tensors: Tensors) -> set[str]:
    found = {"bits-4", shared.group_size(config.get("group_size", config.get("q_group_size", 128)))}
    if "scales" in tensors:
        found.add(f"scales-{tensors['scales'].dtype}")
    if ANGLES in tensors:
        found.add("several-rotations" if len(tensors[ANGLES].bits) > 1 else "one-rotation")
    return found
