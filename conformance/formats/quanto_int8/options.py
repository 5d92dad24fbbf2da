"""What quanto's bytes are called, what lies in their fixtures, and what can be seen of one of their modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..domain import Domain
from ..module import Files
from ..parts import Config, Tensors
from ..symmetric import SymmetricDomain
from .packing import CODES, METHOD, SCALES, ZERO, config, pack

ID, SLUG, TITLE = "quanto_int8", "quanto_int8", "quanto int8"
LEAVES = (CODES, SCALES, "input_scale", "output_scale")
MARKS = (CODES,)
NOT_APPLICABLE: dict[str, str] = {}
FILES = Files(
    vectors=("optimum-quanto-0.2.7",),
    checkpoints=("qwen2-quanto-int8",),
    heard=("qwen2-quanto-int8",),
    digests=("optimum-quanto-0.2.7",),
)
COLUMNS: dict[str, tuple[str, ...]] = {"a scale an output": ("bits-8",)}
BRIEF: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {"quanto int8": ((), ())}


def names(config: Config) -> bool:
    return str(config.get("quant_method") or config.get("method")).lower() == METHOD


def said_width(config: Config) -> Any:
    return 8


def domains() -> Iterator[Domain]:
    """Every bfloat16 scale; of the others the corners."""
    yield SymmetricDomain(SLUG, 8, ZERO, config, pack, SCALES, rows=1, exhausted=("bfloat16",))


def flags(config: Config, tensors: Tensors) -> set[str]:
    found = {"bits-8", "symmetric", f"scales-{tensors[SCALES].dtype}"}
    if CODES in tensors and tensors[CODES].shape[-1] % 32:
        found.add("ragged")
    return found
