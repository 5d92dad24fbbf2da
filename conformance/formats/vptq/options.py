"""What VPTQ is called, what lies in its fixtures, and what can be seen of one of its modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..domain import Domain
from ..module import Files
from ..parts import Config, Tensors
from .domain import Products, Sums
from .packing import (
    BIASES,
    ENTRIES,
    FEW_INDICES,
    FEW_TABLES,
    INDICES,
    METHOD,
    ORDER,
    RES_TABLES,
    SCALES,
    TABLES,
    first,
    said,
)

ID, SLUG, TITLE = "vptq", "vptq", "VPTQ"
LEAVES = (INDICES, TABLES, RES_TABLES, FEW_INDICES, FEW_TABLES, ORDER, SCALES, BIASES)
MARKS = (TABLES, INDICES)
NOT_APPLICABLE = {"affine": "entries of codebooks are in no line, and MLX has no form for them; decoded to dense"}
FILES = Files(
    vectors=("vptq-0.0.5.post1",),
    checkpoints=("llama-vptq-8x6",),
    heard=("llama-vptq-8x6",),
    digests=("vptq-0.0.5.post1",),
)
COLUMNS: dict[str, tuple[str, ...]] = {
    "residuals": ("residuals",),
    "outliers": ("outliers",),
}
BRIEF: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {"VPTQ": ((), ())}


def names(config: Config) -> bool:
    return str(config.get("quant_method") or config.get("method")).lower() == METHOD


def said_width(config: Config) -> Any:
    entries = first(config)[ENTRIES][1]
    return entries.bit_length() - 1


def domains() -> Iterator[Domain]:
    """Every entry of 16 bits with 32 scales and biases, and the same with 32 residuals."""
    yield Products(SLUG)
    yield Sums(f"{SLUG}-sums")


def flags(config: Config, tensors: Tensors) -> set[str]:
    kind = said(config)
    found = {f"bits-{kind.bits}"}
    if TABLES in tensors:
        found.add(f"scales-{tensors[TABLES].dtype}")
    named = {
        "residuals": kind.more,
        "outliers": kind.few[0],
        "several-codebooks": kind.books > 1,
        "ordered-inputs": kind.perm,
        "not-scaled": not kind.norm,
    }
    return found | {name for name, so in named.items() if so}
