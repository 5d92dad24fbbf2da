"""What quanto's narrow codes are called, what lies in their fixtures, and what can be seen of one of their modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..domain import Domain
from ..module import Files
from ..parts import Config, Tensors
from ..quanto_int8.options import names as of_quanto
from .domain import Scales, Shifts
from .packing import CODES, NARROW, SCALES, SHIFTS

ID, SLUG, TITLE = "quanto_int4", "quanto_int4", "quanto int4"
LEAVES = (CODES, SCALES, SHIFTS, "input_scale", "output_scale")
MARKS = (CODES,)
NOT_APPLICABLE: dict[str, str] = {}
FILES = Files(
    vectors=("optimum-quanto-0.2.7",),
    checkpoints=("qwen2-quanto-int4",),
    heard=("qwen2-quanto-int4",),
    digests=("optimum-quanto-0.2.7",),
)
COLUMNS: dict[str, tuple[str, ...]] = {"2 bits": ("bits-2",)}
BRIEF: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {"quanto int4": ((), ())}


def names(config: Config) -> bool:
    return of_quanto(config) and str(config.get("weights")) in NARROW


def said_width(config: Config) -> Any:
    return NARROW.get(str(config.get("weights")))


def domains() -> Iterator[Domain]:
    yield Scales(SLUG)
    yield Shifts(f"{SLUG}-shifts")


def flags(config: Config, tensors: Tensors) -> set[str]:
    found = {f"bits-{said_width(config)}", f"scales-{tensors[SCALES].dtype}"}
    if CODES in tensors and tensors[CODES].shape[-1] % 32:
        found.add("ragged")
    return found
